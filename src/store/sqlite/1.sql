-- The database of a hitring server, version 1. Times are whole numbers; their units are in the comments.

CREATE TABLE meta (
    -- What belongs to the database as a whole. One row.
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    batch   INTEGER NOT NULL, -- How many batches of writes were committed.
    ring    BLOB,             -- Which hits.ring belongs to this database (its key, 16 bytes). NULL: none was made yet.
    writer  BLOB,             -- Under which replica that ring counted when it was last written down (16 bytes).
    origin  BLOB,             -- Which file this is (inode and time of birth, 16 bytes). A copy is another one.
    ledger  BLOB    NOT NULL, -- Under which replica the ring shows the hits of the ledger (16 bytes).
    secret  BLOB    NOT NULL, -- The key of the digests in answer.print (16 bytes).
    age     INTEGER NOT NULL  -- How long servers have run on this database, in seconds. The clock of answer.age.
) STRICT;

CREATE TABLE resource (
    -- The resources that were made with POST /resources. Others are made by their first hit, and are in the ring alone.
    id      TEXT    NOT NULL PRIMARY KEY, -- Its hits are those of the endpoint hits/ID in the ring.
    name    TEXT    NOT NULL,             -- What its maker calls it, 1 to 200 characters.
    created INTEGER NOT NULL              -- When it was made, in microseconds since 1970.
) STRICT, WITHOUT ROWID;

CREATE TABLE removal (
    -- Endpoints that are being removed. A server that finds one at its start ends the removal.
    endpoint TEXT    NOT NULL PRIMARY KEY,
    epoch    INTEGER NOT NULL -- Hits of this epoch and of those before it go. A later one began after the removal, and stays.
) STRICT, WITHOUT ROWID;

CREATE TABLE endpoint (
    -- The endpoints of the ring. The value of each is counted + committed + base.
    id        INTEGER NOT NULL PRIMARY KEY,
    name      TEXT    NOT NULL UNIQUE, -- The endpoint in the ring.
    epoch     INTEGER NOT NULL,        -- In which epoch of the endpoint these hits count. Those of earlier ones were removed.
    counted   INTEGER NOT NULL,        -- All hits that were counted in the ring, when it was last written down.
    committed INTEGER NOT NULL,        -- All hits of the ledger: those with an Idempotency-Key or with durability=disk, which the
                                       -- database decides on and the ring shows.
    base      INTEGER NOT NULL         -- What PUT added to the hits, or took from them, to make the value what it was given.
) STRICT;

CREATE TABLE writer (
    -- Who counted the hits of cells: replicas of the ring file.
    id       INTEGER NOT NULL PRIMARY KEY, -- From 1 on.
    process  INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    UNIQUE (process, sequence)
) STRICT;

CREATE TABLE cell (
    -- Hits of an endpoint that one writer counted in one span of time. Counts are absolute: writing one again changes nothing.
    endpoint   INTEGER NOT NULL, -- endpoint.id
    writer     INTEGER NOT NULL, -- writer.id, or 0 for the ledger
    generation INTEGER NOT NULL, -- Which life of the endpoint in that ring. 0 for the ledger.
    level      INTEGER NOT NULL, -- How long the span is. 0 is a tick of the ring.
    start      INTEGER NOT NULL, -- The number of the span: how many of its length lie between 1970 and its begin.
    count      INTEGER NOT NULL, -- The hits.
    PRIMARY KEY (endpoint, writer, generation, level, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE answer (
    -- What writes with an Idempotency-Key were answered, so that they are answered again without being done again.
    n       INTEGER NOT NULL PRIMARY KEY, -- In the order in which they were done: the lowest goes first.
    key     TEXT    NOT NULL UNIQUE,      -- The Idempotency-Key.
    print   BLOB    NOT NULL,             -- A digest of method, path and body under meta.secret.
    status  INTEGER NOT NULL,             -- The status of the answer,
    headers TEXT    NOT NULL,             -- its headers, a JSON object,
    body    BLOB    NOT NULL,             -- and its body.
    age     INTEGER NOT NULL              -- meta.age at that time.
) STRICT;
