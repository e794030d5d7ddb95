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
    batch_id   bigint      NOT NULL,
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
    PRIMARY KEY (writer_id, seq)
);

-- How many records of each kind a tenant has on each day (UTC), kept up to
-- date by the batch's own transaction.
CREATE TABLE user_activity_daily (
    tenant_id   uuid   NOT NULL,
    day         date   NOT NULL,
    channel     text COLLATE "C" NOT NULL,
    verb        text COLLATE "C" NOT NULL,
    object_type text COLLATE "C" NOT NULL,
    n           bigint NOT NULL,
    PRIMARY KEY (tenant_id, day, channel, verb, object_type)
) WITH (fillfactor = 70);               -- room for updates within the page

-- What was exported of the chains' heads. The line that left the database is
-- what counts; this is the copy to look it up.
CREATE TABLE user_activity_checkpoint (
    no       bigint      NOT NULL PRIMARY KEY,  -- 1, 2, 3, ...
    taken_at timestamptz NOT NULL,
    line     text        NOT NULL               -- as it was exported
);
