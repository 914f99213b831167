-- Rows as revision 0001 wrote them: a live run and an ended one, a fact, an action that failed
-- twice, a letter that was heeded and one that was not.
INSERT INTO objects (kind, name, revision, body, updated, live) VALUES
  ('run', 'flights-12', 3, '{"commit":"4f2a","n":1}', 1700000000.5, 1),
  ('run', 'flights-11', 9, '{"commit":"31bc","n":4}', 1690000000.0, 0),
  ('model', 'flights-v1', 1, '{"digest":"sha256:cc"}', 1690000000.0, 0);
INSERT INTO outbox (number, id, owner_kind, owner_name, lane, action, attempts, not_before, error)
VALUES (41, 'sha256:aa', 'run', 'flights-12', 'attempts', '{"type":"start"}', 2, 1700000100.0,
        'no answer');
INSERT INTO letters (number, to_kind, to_name, id, type, body, at, heeded) VALUES
  (7, 'run', 'flights-12', 'ended-3', 'ended', '{}', 1699999999.0, 1700000000.5),
  (8, 'run', 'flights-12', 'abort-1', 'abort', '{"by":"ann"}', 1700000001.0, NULL);
