-- The activity log, its ledger of batches and its daily counts. SQLite 3.38 or newer.

-- Clustered on its key: the rows of a tenant lie together in feed order.
CREATE TABLE user_activity (
    tenant_id   BLOB    NOT NULL,       -- 16 bytes; all zeros: not set, as for every id
    created_at  INTEGER NOT NULL,       -- when it happened, in microseconds since 1970
    id          BLOB    NOT NULL,       -- UUIDv7 made from created_at
    actor_id    BLOB    NOT NULL,
    user_id     BLOB    NOT NULL,
    org_id      BLOB    NOT NULL,
    verb        TEXT    NOT NULL,
    object_type TEXT    NOT NULL,
    object_id   TEXT    NOT NULL,
    channel     TEXT    NOT NULL,
    ip          TEXT    NOT NULL,
    data        TEXT    NOT NULL,       -- a JSON object
    batch_id    INTEGER NOT NULL,       -- its batch in the ledger
    batch_ix    INTEGER NOT NULL,       -- its place in that batch
    commitment  BLOB    NOT NULL,       -- 16 bytes of salt; 32 of a row that was erased
    PRIMARY KEY (tenant_id, created_at, id)
) STRICT, WITHOUT ROWID;

-- The trailing (created_at, id) makes each of these a feed in page order.
CREATE INDEX user_activity_actor_idx
    ON user_activity (tenant_id, actor_id, created_at, id);
CREATE INDEX user_activity_user_idx
    ON user_activity (tenant_id, user_id, created_at, id);
CREATE INDEX user_activity_object_idx
    ON user_activity (tenant_id, object_type, object_id, created_at, id);
CREATE INDEX user_activity_verb_idx
    ON user_activity (tenant_id, verb, created_at, id);
-- Leads from the ledger to the rows.
CREATE INDEX user_activity_batch_id_idx ON user_activity (batch_id);

-- The ledger: one row a batch, written in the batch's own transaction. A batch
-- that is sent again after a failure in doubt fails on this key. Each row seals
-- its batch and is tied to the one before it in its chain.
CREATE TABLE user_activity_batch (
    writer_id  BLOB    NOT NULL,        -- one incarnation of one process
    seq        INTEGER NOT NULL,        -- 1, 2, 3, ... of that writer; 0 closes its chain
    batch_id   INTEGER NOT NULL UNIQUE, -- drawn by its writer
    n          INTEGER NOT NULL,        -- how many rows
    written_at INTEGER NOT NULL,        -- in microseconds since 1970, as all times
    chain_id   BLOB    NOT NULL,
    link       INTEGER NOT NULL,        -- 1, 2, 3, ... of that chain, without a gap
    flags      INTEGER NOT NULL,        -- 1 first link, 2 clean end, 4 adopted, 8 session
    first_at   INTEGER NOT NULL,        -- earliest created_at
    last_at    INTEGER NOT NULL,        -- latest created_at
    root       BLOB    NOT NULL,        -- SHA-256 over the rows
    prev       BLOB    NOT NULL,        -- seal of the link before
    seal       BLOB    NOT NULL,        -- SHA-256 over all of the above
    key_id     TEXT    NOT NULL,        -- empty: not signed
    mac        BLOB    NOT NULL,        -- the signature
    dropped    BLOB,                    -- what is left of rows that retention took
    ordinal    INTEGER NOT NULL,        -- grows with every batch
    PRIMARY KEY (writer_id, seq)
) STRICT, WITHOUT ROWID;
-- The ledger in the order of its transactions is the feed of changes.
CREATE UNIQUE INDEX user_activity_batch_ordinal_idx ON user_activity_batch (ordinal);

-- How many records of each kind a tenant has on each day (UTC), kept up to
-- date by the batch's own transaction. A day's count is the sum of two rows: of
-- what the month's count holds already, and of what came since. Writers only
-- ever add to the second; `maintain` moves it to the first.
CREATE TABLE user_activity_daily (
    tenant_id   BLOB    NOT NULL,
    day         INTEGER NOT NULL,       -- days since 1970-01-01
    channel     TEXT    NOT NULL,
    verb        TEXT    NOT NULL,
    object_type TEXT    NOT NULL,
    folded      INTEGER NOT NULL DEFAULT 0, -- 1: counted in user_activity_monthly, too
    n           INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, day, channel, verb, object_type, folded)
) STRICT, WITHOUT ROWID;

-- What statistics have to add to the months.
CREATE INDEX user_activity_daily_open_idx
    ON user_activity_daily (tenant_id, day) WHERE folded = 0;

-- The folded days once more, a month in a row, so that statistics of years
-- read few rows: all of the month, and each of its days (NULL: none).
CREATE TABLE user_activity_monthly (
    tenant_id   BLOB    NOT NULL,
    month       INTEGER NOT NULL,       -- its first day, in days since 1970-01-01
    channel     TEXT    NOT NULL,
    verb        TEXT    NOT NULL,
    object_type TEXT    NOT NULL,
    n           INTEGER NOT NULL,
    d01 INTEGER, d02 INTEGER, d03 INTEGER, d04 INTEGER, d05 INTEGER, d06 INTEGER,
    d07 INTEGER, d08 INTEGER, d09 INTEGER, d10 INTEGER, d11 INTEGER, d12 INTEGER,
    d13 INTEGER, d14 INTEGER, d15 INTEGER, d16 INTEGER, d17 INTEGER, d18 INTEGER,
    d19 INTEGER, d20 INTEGER, d21 INTEGER, d22 INTEGER, d23 INTEGER, d24 INTEGER,
    d25 INTEGER, d26 INTEGER, d27 INTEGER, d28 INTEGER, d29 INTEGER, d30 INTEGER,
    d31 INTEGER,
    PRIMARY KEY (tenant_id, month, channel, verb, object_type)
) STRICT, WITHOUT ROWID;

-- What was exported of the chains' heads. The line that left the database is
-- what counts; this is the copy to look it up.
CREATE TABLE user_activity_checkpoint (
    no       INTEGER NOT NULL PRIMARY KEY,      -- 1, 2, 3, ...
    taken_at INTEGER NOT NULL,
    line     TEXT    NOT NULL                   -- as it was exported
) STRICT;

-- For dashboards that speak SQL. These columns stay as they are; others would
-- come with a version 2 of the view. Ids of all zeros and empty text are "not
-- set". Tenant and actor are what the application called them. Ids and times are
-- made readable, so conditions on them read the whole table.
CREATE VIEW activity_feed_v1 AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', (created_at - micro) / 1000000, 'unixepoch')
        || printf('.%06dZ', micro) AS occurred_at,
    lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4)
        || '-' || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)) AS id,
    tenant_id,
    CAST(coalesce(raw_tenant, tenant_id) AS TEXT) AS tenant,
    lower(substr(hex(org_id), 1, 8) || '-' || substr(hex(org_id), 9, 4) || '-' || substr(hex(org_id), 13, 4)
        || '-' || substr(hex(org_id), 17, 4) || '-' || substr(hex(org_id), 21)) AS org_id,
    actor_id,
    CAST(coalesce(raw_actor, actor_id) AS TEXT) AS actor,
    lower(substr(hex(user_id), 1, 8) || '-' || substr(hex(user_id), 9, 4) || '-' || substr(hex(user_id), 13, 4)
        || '-' || substr(hex(user_id), 17, 4) || '-' || substr(hex(user_id), 21)) AS user_id,
    verb,
    object_type,
    object_id,
    channel,
    ip,
    data
FROM (
    SELECT
        created_at,
        (created_at % 1000000 + 1000000) % 1000000 AS micro,
        id,
        lower(substr(hex(tenant_id), 1, 8) || '-' || substr(hex(tenant_id), 9, 4) || '-' || substr(hex(tenant_id), 13, 4)
        || '-' || substr(hex(tenant_id), 17, 4) || '-' || substr(hex(tenant_id), 21)) AS tenant_id,
        CASE WHEN json_valid(data) THEN json_extract(data, '$._raw.tenant_id') END AS raw_tenant,
        org_id,
        lower(substr(hex(actor_id), 1, 8) || '-' || substr(hex(actor_id), 9, 4) || '-' || substr(hex(actor_id), 13, 4)
        || '-' || substr(hex(actor_id), 17, 4) || '-' || substr(hex(actor_id), 21)) AS actor_id,
        CASE WHEN json_valid(data) THEN json_extract(data, '$._raw.actor_id') END AS raw_actor,
        user_id, verb, object_type, object_id, channel, ip, data
    FROM user_activity
);

CREATE VIEW activity_daily_v1 AS
SELECT
    lower(substr(hex(tenant_id), 1, 8) || '-' || substr(hex(tenant_id), 9, 4) || '-' || substr(hex(tenant_id), 13, 4)
        || '-' || substr(hex(tenant_id), 17, 4) || '-' || substr(hex(tenant_id), 21)) AS tenant_id,
    date(day * 86400, 'unixepoch') AS day,
    channel,
    verb,
    object_type,
    sum(n) AS n
FROM user_activity_daily
GROUP BY user_activity_daily.tenant_id, user_activity_daily.day, channel, verb, object_type;

-- What ANALYZE would find in a large log. Without it SQLite takes every index for
-- equally good, and reads a whole tenant to find the records of one actor.
ANALYZE user_activity;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('user_activity', 'user_activity', '1000000 10000 2 1'),
    ('user_activity', 'user_activity_actor_idx', '1000000 10000 50 2 1'),
    ('user_activity', 'user_activity_user_idx', '1000000 10000 100 2 1'),
    ('user_activity', 'user_activity_object_idx', '1000000 10000 1000 10 2 1'),
    ('user_activity', 'user_activity_verb_idx', '1000000 10000 500 2 1'),
    ('user_activity', 'user_activity_batch_id_idx', '1000000 100');
ANALYZE sqlite_schema;
