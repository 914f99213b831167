"""PostgreSQL gets the function that makes a commit: one call, over plans that are kept.

A version that wants it otherwise makes one of another name, as controllers of this version go on
over the connections that they have.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

# What is NULL is not to be done. The order is that of a transaction in the store's protocol.
COMMIT = """
CREATE FUNCTION headgate_commit_1(
  _now float8, _outcome boolean, _notify text,
  _shards integer[], _tokens bigint[],
  _locks integer, _locked text[], _absent_kinds text[], _absent_names text[],
  _kind text, _name text, _revision integer, _body text, _live boolean,
  _done text[],
  _put_off_until float8[], _put_off_why text[], _put_off text[],
  _fact_kinds text[], _fact_names text[], _fact_bodies text[],
  _ids text[], _owner_kinds text[], _owner_names text[], _lanes text[], _actions text[],
  _attempts integer[], _not_before float8[], _errors text[],
  _to_kinds text[], _to_names text[], _said text[], _types text[], _bodies text[],
  _consumed bigint[],
  _aside_why text[], _aside bigint[]
) RETURNS SETOF outbox LANGUAGE plpgsql AS $$
DECLARE
  _found text;
  _count bigint;
BEGIN
  IF _outcome THEN
    PERFORM set_config('synchronous_commit', 'off', true);
  END IF;
  IF _shards IS NOT NULL THEN
    -- Against another holder, not against a renewal.
    PERFORM FROM leases JOIN unnest(_shards, _tokens) AS mine (shard, token) USING (shard, token)
    ORDER BY shard FOR KEY SHARE OF leases;
    GET DIAGNOSTICS _count = ROW_COUNT;
    IF _count < cardinality(_shards) THEN
      RAISE SQLSTATE 'HG002' USING MESSAGE = 'another controller has the lease by now';
    END IF;
  END IF;
  IF _locked IS NOT NULL THEN
    -- By their keys, also of what is not there, so that no two find the same fact absent.
    PERFORM pg_advisory_xact_lock(_locks, hashtext(key)) FROM unnest(_locked) AS key;
  END IF;
  IF _absent_kinds IS NOT NULL THEN
    SELECT kind || '/' || name INTO _found FROM objects
    JOIN unnest(_absent_kinds, _absent_names) AS absent (kind, name) USING (kind, name) LIMIT 1;
    IF FOUND THEN
      RAISE SQLSTATE 'HG001' USING MESSAGE = _found || ' is there';
    END IF;
  END IF;
  IF _kind IS NOT NULL THEN
    IF _revision = 0 THEN
      INSERT INTO objects (kind, name, revision, body, updated, live)
      VALUES (_kind, _name, 1, _body, _now, _live) ON CONFLICT DO NOTHING;
    ELSE
      UPDATE objects SET revision = revision + 1, body = _body, updated = _now, live = _live
      WHERE kind = _kind AND name = _name AND revision = _revision;
    END IF;
    IF NOT FOUND THEN
      RAISE SQLSTATE 'HG001' USING
        MESSAGE = format('%s/%s is no longer at revision %s', _kind, _name, _revision);
    END IF;
  END IF;
  IF _done IS NOT NULL THEN
    DELETE FROM outbox WHERE id = ANY(_done);
  END IF;
  -- One after the other: they are few, and a loop takes less than a join of arrays.
  FOR n IN 1 .. coalesce(cardinality(_put_off), 0) LOOP
    UPDATE outbox
    SET attempts = attempts + 1, not_before = _put_off_until[n], error = _put_off_why[n]
    WHERE id = _put_off[n];
  END LOOP;
  FOR n IN 1 .. coalesce(cardinality(_fact_kinds), 0) LOOP
    INSERT INTO objects (kind, name, revision, body, updated, live)
    VALUES (_fact_kinds[n], _fact_names[n], 1, _fact_bodies[n], _now, FALSE)
    ON CONFLICT (kind, name) DO UPDATE
    SET revision = objects.revision + 1, body = excluded.body, updated = excluded.updated
    WHERE objects.body != excluded.body;
  END LOOP;
  FOR n IN 1 .. coalesce(cardinality(_ids), 0) LOOP
    INSERT INTO outbox (id, owner_kind, owner_name, lane, action, attempts, not_before, error)
    VALUES (
      _ids[n], _owner_kinds[n], _owner_names[n], _lanes[n], _actions[n], _attempts[n],
      _not_before[n], _errors[n]
    ) ON CONFLICT (id) DO NOTHING;
  END LOOP;
  FOR n IN 1 .. coalesce(cardinality(_said), 0) LOOP
    INSERT INTO messages (to_kind, to_name, id, type, body, at)
    VALUES (_to_kinds[n], _to_names[n], _said[n], _types[n], _bodies[n], _now)
    ON CONFLICT (to_kind, to_name, id) DO NOTHING;
  END LOOP;
  IF _consumed IS NOT NULL THEN
    UPDATE messages SET consumed = _now WHERE number = ANY(_consumed);
  END IF;
  FOR n IN 1 .. coalesce(cardinality(_aside), 0) LOOP
    UPDATE messages SET set_aside = _now, reason = _aside_why[n] WHERE number = _aside[n];
  END LOOP;
  IF _notify IS NOT NULL THEN
    PERFORM pg_notify('headgate', _notify);
  END IF;
  IF _kind IS NOT NULL THEN
    RETURN QUERY SELECT * FROM outbox WHERE owner_kind = _kind AND owner_name = _name
    ORDER BY number;
  END IF;
END $$
"""


def upgrade() -> None:
    """Make the function."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(COMMIT)
