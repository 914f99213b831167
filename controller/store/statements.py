"""What the store asks its database, in plain SQL: sqlite3 prepares each text once.

Columns are named, and in the order in which `rows` reads them.
"""

GET = "SELECT kind, name, revision, body, updated, live FROM objects WHERE kind = ? AND name = ?"
NAMED = """
SELECT kind, name, revision, body, updated, live FROM objects
WHERE kind = ? AND name IN (SELECT value FROM json_each(?))"""
IS_THERE = "SELECT 1 FROM objects WHERE kind = ? AND name = ?"
_OF_KIND = "SELECT kind, name, revision, body, updated, live FROM objects WHERE kind = ?1"
_LATEST_FIRST = " ORDER BY updated DESC, name DESC LIMIT ?3"
LATEST = {
    (series, live): _OF_KIND + " AND series = ?2" * series + " AND live = 1" * live + _LATEST_FIRST
    for series in (False, True)
    for live in (False, True)
}
"""By whether they are of one series, and whether they are live."""
NEXT_KIND = "SELECT min(kind) FROM objects WHERE kind > ?"
NEWEST = "SELECT max(updated) FROM objects WHERE kind = ?"
CREATE = """
INSERT INTO objects (kind, name, revision, body, updated, live) VALUES (?, ?, 1, ?, ?, ?)
ON CONFLICT DO NOTHING"""
REPLACE = """
UPDATE objects SET revision = revision + 1, body = ?3, updated = ?4, live = ?5
WHERE kind = ?1 AND name = ?2 AND revision = ?6"""
FACT = """
INSERT INTO objects (kind, name, revision, body, updated, live) VALUES (?, ?, 1, ?, ?, 0)
ON CONFLICT (kind, name) DO UPDATE
SET revision = revision + 1, body = excluded.body, updated = excluded.updated
WHERE body != excluded.body"""

OUTBOX = """
SELECT number, id, owner_kind, owner_name, lane, action, attempts, not_before, error FROM outbox
ORDER BY number"""
OUTBOX_OF = """
SELECT number, id, owner_kind, owner_name, lane, action, attempts, not_before, error FROM outbox
WHERE owner_kind = ? AND owner_name = ? ORDER BY number"""
ENQUEUE = """
INSERT INTO outbox (id, owner_kind, owner_name, lane, action, attempts, not_before, error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"""
ACKNOWLEDGE = "DELETE FROM outbox WHERE id = ?"
POSTPONE = "UPDATE outbox SET attempts = attempts + 1, not_before = ?2, error = ?3 WHERE id = ?1"

INBOX = """
SELECT number, to_kind, to_name, id, type, body, at, set_aside, reason FROM messages
WHERE consumed IS NULL AND set_aside IS NULL ORDER BY number"""
INBOX_OF = """
SELECT number, to_kind, to_name, id, type, body, at, set_aside, reason FROM messages
WHERE consumed IS NULL AND set_aside IS NULL AND to_kind = ? AND to_name = ? ORDER BY number"""
ADDRESSEES = """
SELECT to_kind, to_name FROM messages WHERE consumed IS NULL AND set_aside IS NULL
GROUP BY to_kind, to_name ORDER BY min(number)"""
# None of these was consumed, which is said for the index that it gives.
ASIDE = """
SELECT number, to_kind, to_name, id, type, body, at, set_aside, reason FROM messages
WHERE consumed IS NULL AND set_aside IS NOT NULL ORDER BY number"""
SEND = """
INSERT INTO messages (to_kind, to_name, id, type, body, at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (to_kind, to_name, id) DO NOTHING"""
CONSUME = "UPDATE messages SET consumed = ?2 WHERE number = ?1"
SET_ASIDE = "UPDATE messages SET set_aside = ?2, reason = ?3 WHERE number = ?1"
