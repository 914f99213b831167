-- Rows as revision 0004 wrote them: a live run and an ended one, a fact, an action that failed
-- twice, a message that was consumed, one that was set aside and one that waits.
INSERT INTO objects (kind, name, revision, body, updated, live) VALUES
  ('run', 'flights-12', 3, '{"commit":"4f2a","n":1}', 1700000000.5, 1),
  ('run', 'flights-11', 9, '{"commit":"31bc","n":4}', 1690000000.0, 0),
  ('model', 'flights-v1', 1, '{"digest":"sha256:cc"}', 1690000000.0, 0);
INSERT INTO outbox (number, id, owner_kind, owner_name, lane, action, attempts, not_before, error)
VALUES (41, 'sha256:aa', 'run', 'flights-12', 'attempts', '{"type":"start"}', 2, 1700000100.0,
        'no answer');
INSERT INTO messages (number, to_kind, to_name, id, type, body, at, consumed, set_aside, reason)
VALUES
  (7, 'run', 'flights-12', 'ended-3', 'ended', '{"type":"ended"}', 1699999999.0, 1700000000.5,
   NULL, NULL),
  (8, 'run', 'flights-12', 'abort-1', 'abort', '{"by":"ann","type":"abort"}', 1700000001.0, NULL,
   NULL, NULL),
  (9, 'run', 'flights-12', 'coo-1', 'coo', '{"type":"coo"}', 1700000001.5, NULL, 1700000002.0,
   'nothing in this version of Headgate handles ''coo'' there');
