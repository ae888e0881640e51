-- One object of every kind in PostgreSQL 15, with unusual names. The test creates these roles first:
-- "Odd ""Role""", complete_owner, complete_reader.

-- Some builds of PostgreSQL do not include these.
SELECT count(*) FILTER (WHERE name = 'pg_trgm') > 0 AS trigrams, count(*) FILTER (WHERE name = 'hstore') > 0 AS hstore,
    (SELECT count(*) > 0 FROM pg_collation WHERE collname = 'und-x-icu') AS icu,
    (SELECT count(*) > 0 FROM pg_config WHERE name = 'CONFIGURE' AND setting LIKE '%libxml%') AS xml FROM pg_available_extensions \gset
\if :xml
\set document '''<a b="c">d</a>'''
\else
\set document NULL
\endif
\if :trigrams
CREATE EXTENSION pg_trgm;
\endif
\if :hstore
CREATE EXTENSION hstore WITH SCHEMA public;
\else
CREATE DOMAIN hstore AS text;
\endif

CREATE SCHEMA "select";
CREATE SCHEMA "Ünïcode 面";
CREATE SCHEMA "a.b""c'd\e";
COMMENT ON SCHEMA "Ünïcode 面" IS E'it''s a "schema"\nwith \\ two lines';
ALTER SCHEMA "select" OWNER TO complete_owner;

-- Types.
CREATE TYPE "Ünïcode 面".mood AS ENUM ('sad', 'o''k', 'happy "!"', '面');
CREATE TYPE pair AS (left_side int, "right side" text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN "Ünïcode 面"."e mail" AS text COLLATE "C" DEFAULT 'no@where' CONSTRAINT "has at" CHECK (VALUE LIKE '%@%');
CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi);
\if :icu
CREATE COLLATION numeric_order (provider = icu, locale = 'und-u-kn-true');
\endif

-- Functions, operators, casts, aggregates.
CREATE FUNCTION add_pair(p pair, n int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT (p).left_side + n $$;
CREATE FUNCTION "select"."from"(VARIADIC "where" int[]) RETURNS bigint LANGUAGE plpgsql STABLE SET work_mem = '2MB' AS $body$
BEGIN RETURN (SELECT sum(n) FROM unnest("where") AS n); -- $$ ; \.
END $body$;
CREATE FUNCTION standard(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a + 1; END;
CREATE PROCEDURE touch() LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION pair_eq(pair, pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).left_side = ($2).left_side';
CREATE OPERATOR === (LEFTARG = pair, RIGHTARG = pair, FUNCTION = pair_eq, COMMUTATOR = ===);
CREATE FUNCTION int_to_pair(int) RETURNS pair LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1, $1::text)::pair';
CREATE CAST (int AS pair) WITH FUNCTION int_to_pair(int) AS ASSIGNMENT;
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE FUNCTION cmp_reverse(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($2, $1)';
CREATE OPERATOR FAMILY reverse_family USING btree;
CREATE OPERATOR CLASS reverse_class FOR TYPE int USING btree FAMILY reverse_family AS
    OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 cmp_reverse(int, int);
CREATE TEXT SEARCH DICTIONARY plain (TEMPLATE = simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION mine (COPY = english);
ALTER TEXT SEARCH CONFIGURATION mine ALTER MAPPING FOR asciiword WITH plain;
CREATE ACCESS METHOD heap_too TYPE TABLE HANDLER heap_tableam_handler;
CREATE CONVERSION odd_conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE FUNCTION my_handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE TRUSTED LANGUAGE plpgsql_too HANDLER my_handler;

-- A table with every family of types, and rows with values that are hard to represent as text.
CREATE TABLE "Ünïcode 面"."every ""type""" (
    "i2" smallint, i4 int, i8 bigint, f4 real, f8 double precision, "numeric" numeric, money money, b boolean,
    t text, v varchar(10), c char(5), "name" name, "char" "char", bytes bytea, bits bit(3), varbits bit varying(9),
    d date, ti time, tz time with time zone, ts timestamp, tstz timestamptz, iv interval, u uuid,
    j json, jb jsonb, jp jsonpath, x xml, inet inet, cidr cidr, mac macaddr, mac8 macaddr8,
    pt point, ln line, sg lseg, bx box, pa path, pg polygon, ci circle, tsv tsvector, tsq tsquery,
    ir int4range, nr nummultirange, sp span, arr int[], arr2 text[][], pr pair, prs pair[], mo "Ünïcode 面".mood,
    dom "Ünïcode 面"."e mail", pos positive, oid oid, reg regclass, lsn pg_lsn, acl aclitem, xid xid8, h hstore, "ctid ctid" tid
);
INSERT INTO "Ünïcode 面"."every ""type""" VALUES (
    -32768, 2147483647, -9223372036854775808, '1e-45', 0.1 + 0.2, '12345678901234567890.00000000001', '-1.50', true,
    E'tab\t nl\n cr\r bs\\ nul-not \\N \\. ''"' || chr(7) || '面😀', 'ü', 'ab', 'n', 'x', '\x00ff5c6e', B'101', B'',
    'infinity', '24:00', '00:00:00.000001+15:59', '-infinity', '4713-01-01 00:00:00+00 BC', '-1 year 2 mons -3 days 04:05:06.789', '00000000-0000-0000-0000-000000000001',
    '{"a" :  [1, "\\u00e9\\n"]}', '{"b": null, "a": 1e400}', '$."a"[*] ? (@ > 1)', :document, '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
    '(1e300,-1e-300)', '{1,2,3}', '((0,0),(1,1))', '((1,1),(0,0))', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(0,0),1>', 'a:1 ''b c'':2', '''a'' & !''b''',
    'empty', '{[1,2),[3,)}', '[1.5,)', '{1,NULL,3}', '{{a,"b,c"},{"d\"e",NULL}}', ROW(1, '(,)"'), ARRAY[ROW(1, NULL)::pair], 'happy "!"',
    'a@b', 5, 4294967295, 'pg_class', 'FFFFFFFF/FFFFFFFF', 'complete_owner=r/complete_owner', '18446744073709551615', '"a=>b"=>"c,d", e=>NULL', '(4294967294,65534)'
);
INSERT INTO "Ünïcode 面"."every ""type""" (f4, f8, "numeric", t) VALUES ('NaN', '-Infinity', 'NaN', ''), ('-0', '4.9e-324', 'Infinity', '\.'), (NULL, NULL, NULL, E'\\.\n\\.');

-- Tables with all dependent objects.
CREATE TABLE parent (
    id int GENERATED BY DEFAULT AS IDENTITY (START 7 INCREMENT 3) PRIMARY KEY,
    always bigint GENERATED ALWAYS AS IDENTITY,
    "order" text COLLATE "C" NOT NULL DEFAULT 'x''y',
    doubled int GENERATED ALWAYS AS (id * 2) STORED,
    created timestamptz DEFAULT now(),
    gone int,
    CONSTRAINT "no ""empty""" CHECK ("order" <> ''),
    UNIQUE NULLS NOT DISTINCT ("order", created)
) WITH (fillfactor = 80, autovacuum_enabled = off);
ALTER TABLE parent DROP COLUMN gone;
ALTER TABLE parent ALTER COLUMN "order" SET STATISTICS 500, ALTER COLUMN "order" SET STORAGE EXTERNAL, ALTER COLUMN "order" SET COMPRESSION pglz;
INSERT INTO parent ("order", created) SELECT 'n' || n, timestamptz '2024-01-01 00:00:00.123456+00' + n * interval '1 hour' FROM generate_series(1, 300) AS n;
CREATE TABLE child (extra text, PRIMARY KEY (id)) INHERITS (parent);
INSERT INTO child (id, always, "order", extra) VALUES (9000, 1, 'child', 'only in the child');
CREATE TABLE orphan (id int, of_parent int, CONSTRAINT later FOREIGN KEY (of_parent) REFERENCES parent ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED NOT VALID);
INSERT INTO orphan VALUES (1, NULL);
ALTER TABLE orphan ADD CONSTRAINT lax CHECK (id < 0) NOT VALID;
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
INSERT INTO no_columns DEFAULT VALUES;
CREATE UNLOGGED TABLE unlogged (a int);
INSERT INTO unlogged VALUES (1), (2);
CREATE TABLE typed OF pair (PRIMARY KEY (left_side));
INSERT INTO typed VALUES (1, 'one');
CREATE TABLE on_other_method (a int) USING heap_too;
INSERT INTO on_other_method VALUES (1);
CREATE TABLE excluded (during tstzrange, EXCLUDE USING gist (during WITH &&));
INSERT INTO excluded VALUES ('[2024-01-01,2024-01-02)');
CREATE TABLE cluster_me (a int, b int);
CREATE INDEX cluster_here ON cluster_me (a);
ALTER TABLE cluster_me CLUSTER ON cluster_here;
CREATE UNIQUE INDEX identity_here ON cluster_me (b);
ALTER TABLE cluster_me ALTER b SET NOT NULL, REPLICA IDENTITY USING INDEX identity_here;
INSERT INTO cluster_me VALUES (2, 1), (1, 2);

-- Two tables that refer to each other, and one to itself.
CREATE TABLE hen (id int PRIMARY KEY, egg int);
CREATE TABLE egg (id int PRIMARY KEY, hen int REFERENCES hen);
ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg;
INSERT INTO hen VALUES (1, NULL);
INSERT INTO egg VALUES (1, 1);
UPDATE hen SET egg = 1;
CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree);
INSERT INTO tree VALUES (2, NULL), (1, 2);

-- Partitions.
CREATE TABLE "select"."table" (at date NOT NULL, kind text, amount numeric) PARTITION BY RANGE (at);
CREATE TABLE "select"."2024" PARTITION OF "select"."table" FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (kind);
CREATE TABLE "select"."2024 a" PARTITION OF "select"."2024" FOR VALUES IN ('a', NULL);
CREATE TABLE "select"."2024 rest" PARTITION OF "select"."2024" DEFAULT;
CREATE TABLE "select"."rest" (kind text, amount numeric, at date NOT NULL);
ALTER TABLE "select"."table" ATTACH PARTITION "select"."rest" DEFAULT;
CREATE INDEX by_kind ON "select"."table" (kind) INCLUDE (amount);
CREATE TABLE hashed (id int PRIMARY KEY) PARTITION BY HASH (id);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO "select"."table" SELECT date '2023-06-01' + n, CASE n % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' END, n / 7.0 FROM generate_series(1, 900) AS n;
INSERT INTO hashed SELECT generate_series(1, 50);

-- Indexes.
CREATE INDEX "on expression" ON parent (lower("order") text_pattern_ops DESC NULLS LAST) WHERE id > 5;
\if :trigrams
CREATE INDEX trigram ON parent USING gin ("order" gin_trgm_ops);
\endif
CREATE INDEX brin_one ON parent USING brin (created) WITH (pages_per_range = 4);
CREATE INDEX hash_one ON parent USING hash ("order");
CREATE INDEX reversed ON parent (id reverse_class);
CREATE STATISTICS "how they ""go""" (dependencies, ndistinct, mcv) ON id, "order" FROM parent;
ALTER INDEX "on expression" ALTER COLUMN 1 SET STATISTICS 300;

-- Sequences.
CREATE SEQUENCE "Ünïcode 面"."count ""down""" AS bigint INCREMENT -5 MINVALUE -1000 MAXVALUE 1000 START 100 CACHE 3 CYCLE;
SELECT setval('"Ünïcode 面"."count ""down"""', -995, true);
CREATE SEQUENCE untouched;
CREATE SEQUENCE smallish AS smallint OWNED BY orphan.id;
SELECT setval('smallish', 77, false);

-- Views.
CREATE VIEW "Ünïcode 面".checked WITH (security_barrier = true) AS SELECT id, "order" FROM parent WHERE id > 10 WITH LOCAL CHECK OPTION;
CREATE RECURSIVE VIEW up_the_tree (id) AS SELECT id FROM tree WHERE up IS NULL UNION ALL SELECT tree.id FROM tree JOIN up_the_tree ON up = up_the_tree.id;
CREATE MATERIALIZED VIEW totals AS SELECT kind, sum(amount) AS sum FROM "select"."table" GROUP BY kind;
CREATE UNIQUE INDEX totals_kind ON totals (kind);
CREATE MATERIALIZED VIEW on_totals AS SELECT count(*) FROM totals;
CREATE MATERIALIZED VIEW not_filled AS SELECT 1 AS one WITH NO DATA;
CREATE VIEW one_after AS SELECT 1 AS a;
CREATE OR REPLACE VIEW one_before AS SELECT * FROM one_after;
CREATE OR REPLACE VIEW one_after AS SELECT a FROM one_before WHERE false UNION SELECT 2;

-- Rules, triggers, policies.
CREATE RULE "no delete" AS ON DELETE TO orphan DO INSTEAD NOTHING;
CREATE FUNCTION note_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER "before ""it""" BEFORE INSERT OR UPDATE OF "order" ON parent FOR EACH ROW WHEN (NEW.id > 3) EXECUTE FUNCTION note_it('arg''ument');
CREATE TRIGGER after_all AFTER INSERT ON parent REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_it();
ALTER TABLE parent DISABLE TRIGGER after_all;
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON parent DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_it();
CREATE TRIGGER on_partitions BEFORE INSERT ON "select"."table" FOR EACH ROW EXECUTE FUNCTION note_it();
CREATE TABLE guarded (owner_name text, secret text);
INSERT INTO guarded VALUES ('complete_owner', 'mine'), ('somebody', 'else''s');
ALTER TABLE guarded OWNER TO complete_owner;
CREATE POLICY own_rows ON guarded FOR SELECT TO complete_reader, PUBLIC USING (owner_name = current_user);
CREATE POLICY "and ""write""" ON guarded AS RESTRICTIVE FOR INSERT WITH CHECK (owner_name = current_user);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE EVENT TRIGGER "watch ""ddl""" ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION on_ddl();
ALTER EVENT TRIGGER "watch ""ddl""" ENABLE ALWAYS;

-- Foreign data, replication.
CREATE FOREIGN DATA WRAPPER nowhere OPTIONS (a 'b''c');
CREATE SERVER "far away" FOREIGN DATA WRAPPER nowhere OPTIONS (host 'x');
CREATE USER MAPPING FOR complete_reader SERVER "far away" OPTIONS ("user" 'u', password 'p');
CREATE FOREIGN TABLE elsewhere (a int OPTIONS (column_name 'A'), b text) SERVER "far away" OPTIONS (schema_name 's');
CREATE PUBLICATION "some ""of it""" FOR TABLE parent WHERE (id > 5), TABLE hashed WITH (publish = 'insert, update');
CREATE PUBLICATION whole_schema FOR TABLES IN SCHEMA "select";
CREATE SUBSCRIPTION "from ""afar""" CONNECTION 'host=nowhere dbname=x' PUBLICATION "some ""of it""" WITH (connect = false, slot_name = NONE);

-- Objects that need C or the server's own functions.
CREATE TYPE base_number;
CREATE FUNCTION base_in(cstring) RETURNS base_number LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION base_out(base_number) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE base_number (INPUT = base_in, OUTPUT = base_out, LIKE = int4, CATEGORY = 'N');
CREATE TABLE of_base (a base_number, b base_number[]);
INSERT INTO of_base VALUES ('42', '{1,NULL}'), (NULL, NULL);
CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));
CREATE TEXT SEARCH PARSER "a ""parser""" (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE "a ""template""" (LEXIZE = dsimple_lexize);

-- Large objects.
SELECT lo_from_bytea(800001, decode(repeat('00ff5c', 40000), 'hex')), lo_create(800002), lo_from_bytea(800003, 'text');
ALTER LARGE OBJECT 800003 OWNER TO complete_owner;
GRANT SELECT ON LARGE OBJECT 800001 TO complete_reader;
COMMENT ON LARGE OBJECT 800002 IS 'nothing in it';

-- Comments and privileges.
COMMENT ON TABLE parent IS 'a -- table; \. with ''quotes''';
COMMENT ON COLUMN parent."order" IS '';
COMMENT ON COLUMN parent.doubled IS 'twice';
COMMENT ON CONSTRAINT "no ""empty""" ON parent IS 'never';
COMMENT ON TRIGGER "before ""it""" ON parent IS 'a trigger';
COMMENT ON INDEX "on expression" IS 'an index';
COMMENT ON FUNCTION "select"."from"(int[]) IS 'a function';
COMMENT ON EVENT TRIGGER "watch ""ddl""" IS 'an event trigger';
COMMENT ON TYPE pair IS 'a type';
COMMENT ON OPERATOR === (pair, pair) IS 'an operator';
ALTER TABLE parent OWNER TO "Odd ""Role""";
ALTER FUNCTION "select"."from"(int[]) OWNER TO complete_owner;
GRANT SELECT, UPDATE ("order", created) ON parent TO complete_reader WITH GRANT OPTION;
REVOKE ALL ON FUNCTION "select"."from"(int[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION "select"."from"(int[]) TO "Odd ""Role""";
REVOKE INSERT ON orphan FROM CURRENT_USER;
GRANT USAGE ON SCHEMA "select" TO complete_reader;
GRANT USAGE ON TYPE pair TO complete_reader;
GRANT USAGE ON FOREIGN SERVER "far away" TO complete_reader;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO complete_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE complete_owner IN SCHEMA "select" GRANT SELECT ON TABLES TO complete_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE complete_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
