-- The activity log, its ledger of batches and its daily counts. PostgreSQL 15 to 18.

-- The key is the feed's index, the partition key's home and (on Citus) the
-- distribution key in one. An id is unique within its tenant and moment, both
-- of which a record keeps for ever, so a resent row always meets itself.
CREATE TABLE user_activity (
    tenant_id   uuid        NOT NULL,
    created_at  timestamptz NOT NULL,   -- when it happened, not when it was stored
    id          uuid        NOT NULL,   -- UUIDv7 made from created_at
    actor_id    uuid        NOT NULL,   -- all zeros: not set, as for every id
    user_id     uuid        NOT NULL,
    org_id      uuid        NOT NULL,
    verb        text COLLATE "C" NOT NULL,
    object_type text COLLATE "C" NOT NULL,
    object_id   text COLLATE "C" NOT NULL,
    channel     text COLLATE "C" NOT NULL,
    ip          text COLLATE "C" NOT NULL,
    data        jsonb       NOT NULL,
    batch_id    bigint      NOT NULL,   -- its batch in the ledger
    batch_ix    integer     NOT NULL,   -- its place in that batch
    commitment  bytea       NOT NULL,   -- 16 bytes of salt; 32 of a row that was erased
    PRIMARY KEY (tenant_id, created_at, id)
) PARTITION BY RANGE (created_at);

-- The trailing (created_at, id) makes each of these a feed in page order.
CREATE INDEX user_activity_actor_idx
    ON user_activity (tenant_id, actor_id, created_at, id);
CREATE INDEX user_activity_user_idx
    ON user_activity (tenant_id, user_id, created_at, id);
CREATE INDEX user_activity_object_idx
    ON user_activity (tenant_id, object_type, object_id, created_at, id);
CREATE INDEX user_activity_verb_idx
    ON user_activity (tenant_id, verb, created_at, id);
-- Leads from the ledger to the rows. A batch's are equal, and lie at the end of it
-- when they are written, so it is the cheapest of all to keep.
CREATE INDEX user_activity_batch_id_idx ON user_activity (batch_id);

-- One partition a month (UTC) from this one to three ahead, and an edge on
-- either side that takes whatever lies beyond. There is no DEFAULT partition:
-- with one, a feed's page can't be read partition by partition in order.
DO $$
DECLARE
    first date := date_trunc('month', now() AT TIME ZONE 'UTC');
    month date := first;
BEGIN
    WHILE month <= first + interval '3 months' LOOP
        EXECUTE format(
            'CREATE TABLE user_activity_y%sm%s PARTITION OF user_activity '
            'FOR VALUES FROM (%L) TO (%L)',
            to_char(month, 'YYYY'), to_char(month, 'MM'),
            to_char(month, 'YYYY-MM-DD "00:00:00+00"'),
            to_char(month + interval '1 month', 'YYYY-MM-DD "00:00:00+00"'));
        month := month + interval '1 month';
    END LOOP;
    EXECUTE format(
        'CREATE TABLE user_activity_past PARTITION OF user_activity '
        'FOR VALUES FROM (MINVALUE) TO (%L)',
        to_char(first, 'YYYY-MM-DD "00:00:00+00"'));
    EXECUTE format(
        'CREATE TABLE user_activity_future PARTITION OF user_activity '
        'FOR VALUES FROM (%L) TO (MAXVALUE)',
        to_char(month, 'YYYY-MM-DD "00:00:00+00"'));
END $$;

-- The ledger: one row a batch, written in the batch's own transaction. A batch
-- that is sent again after a lost answer to COMMIT fails on this key. Each row
-- seals its batch and is tied to the one before it in its chain.
CREATE TABLE user_activity_batch (
    writer_id  uuid        NOT NULL,    -- one incarnation of one process
    seq        bigint      NOT NULL,    -- 1, 2, 3, ... of that writer; 0 closes its chain
    batch_id   bigint      NOT NULL UNIQUE,     -- drawn by its writer
    n          integer     NOT NULL,    -- how many rows
    written_at timestamptz NOT NULL,    -- by the clock of the writer
    chain_id   uuid        NOT NULL,
    link       bigint      NOT NULL,    -- 1, 2, 3, ... of that chain, without a gap
    flags      integer     NOT NULL,    -- 1 first link, 2 clean end, 4 adopted, 8 session
    first_at   timestamptz NOT NULL,    -- earliest created_at
    last_at    timestamptz NOT NULL,    -- latest created_at
    root       bytea       NOT NULL,    -- SHA-256 over the rows
    prev       bytea       NOT NULL,    -- seal of the link before
    seal       bytea       NOT NULL,    -- SHA-256 over all of the above
    key_id     text COLLATE "C" NOT NULL,   -- empty: not signed
    mac        bytea       NOT NULL,    -- the signature
    dropped    bytea,                   -- what is left of rows that retention took
    -- Its transaction: what was committed before another began has the lower one.
    ordinal    bigint      NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    PRIMARY KEY (writer_id, seq)
);
-- The ledger in the order of its transactions is the feed of changes. On Citus each
-- node numbers its own: there the ledger must not be distributed for that.
CREATE INDEX user_activity_batch_ordinal_idx ON user_activity_batch (ordinal, batch_id);

-- How many records of each kind a tenant has on each day (UTC), kept up to
-- date by the batch's own transaction. A day's count is the sum of two rows: of
-- what the month's count holds already, and of what came since. Writers only
-- ever add to the second; `maintain` moves it to the first.
CREATE TABLE user_activity_daily (
    tenant_id   uuid    NOT NULL,
    day         date    NOT NULL,
    channel     text COLLATE "C" NOT NULL,
    verb        text COLLATE "C" NOT NULL,
    object_type text COLLATE "C" NOT NULL,
    folded      boolean NOT NULL DEFAULT false, -- counted in user_activity_monthly, too
    n           bigint  NOT NULL,
    PRIMARY KEY (tenant_id, day, channel, verb, object_type, folded)
) WITH (fillfactor = 70);               -- room for updates within the page

-- What statistics have to add to the months: all that is open.
CREATE INDEX user_activity_daily_open_idx
    ON user_activity_daily (tenant_id, day) WHERE NOT folded;

-- The folded days once more, a month in a row, so that statistics of years
-- read few rows: all of the month, and each of its days (NULL: none).
CREATE TABLE user_activity_monthly (
    tenant_id   uuid   NOT NULL,
    month       date   NOT NULL,        -- its first day
    channel     text COLLATE "C" NOT NULL,
    verb        text COLLATE "C" NOT NULL,
    object_type text COLLATE "C" NOT NULL,
    n           bigint NOT NULL,
    d01 bigint, d02 bigint, d03 bigint, d04 bigint, d05 bigint, d06 bigint,
    d07 bigint, d08 bigint, d09 bigint, d10 bigint, d11 bigint, d12 bigint,
    d13 bigint, d14 bigint, d15 bigint, d16 bigint, d17 bigint, d18 bigint,
    d19 bigint, d20 bigint, d21 bigint, d22 bigint, d23 bigint, d24 bigint,
    d25 bigint, d26 bigint, d27 bigint, d28 bigint, d29 bigint, d30 bigint,
    d31 bigint,
    PRIMARY KEY (tenant_id, month, channel, verb, object_type)
) WITH (fillfactor = 80);               -- each day that closes updates its month's rows

-- What was exported of the chains' heads. The line that left the database is
-- what counts; this is the copy to look it up.
CREATE TABLE user_activity_checkpoint (
    no       bigint      NOT NULL PRIMARY KEY,  -- 1, 2, 3, ...
    taken_at timestamptz NOT NULL,
    line     text        NOT NULL               -- as it was exported
);

-- For dashboards that speak SQL. These columns stay as they are; others would
-- come with a version 2 of the view. Ids of all zeros and empty text are "not
-- set". Columns are the table's own, so that conditions on them use its indexes;
-- tenant and actor are what the application called them.
CREATE VIEW activity_feed_v1 AS
SELECT
    created_at AS occurred_at,
    id,
    tenant_id,
    coalesce(data #>> '{_raw,tenant_id}', tenant_id::text) AS tenant,
    org_id,
    actor_id,
    coalesce(data #>> '{_raw,actor_id}', actor_id::text) AS actor,
    user_id,
    verb,
    object_type,
    object_id,
    channel,
    ip,
    data
FROM user_activity;

CREATE VIEW activity_daily_v1 AS
SELECT tenant_id, day, channel, verb, object_type, sum(n)::bigint AS n
FROM user_activity_daily
GROUP BY tenant_id, day, channel, verb, object_type;
