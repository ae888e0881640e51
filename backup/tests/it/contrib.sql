-- Every extension that the server can create, a table for each of their types with every sample that the type accepts, indexes with
-- their operator classes, and objects that use their functions.
CREATE TABLE extensions (name text, error text);
DO $$
DECLARE e text;
BEGIN
    FOR e IN SELECT name FROM pg_available_extensions WHERE name <> 'plpgsql' ORDER BY name COLLATE "C" LOOP
        BEGIN
            EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I CASCADE', e);
            INSERT INTO extensions VALUES (e, NULL);
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO extensions VALUES (e, SQLERRM);
        END;
    END LOOP;
END $$;
DO $$
DECLARE
    t text; s text; n int := 0;
    samples text[] := ARRAY['a', '"a"=>"b,\"c", c=>NULL', '(1,2,3),(4,5,6)', '1 .. 2', '1&!2', '978-0-393-04002-9', '0-393-04002-X',
        '977-1436-4522-02', '1436-4522', '979-0-2600-0043-8', 'M-2600-0043-8', '220500742231', '9771436452202', 'a.b.c',
        '*.a.*{1,2}', 'a & !b', '1', '(4027613,4027613,2802222)'];
BEGIN
    FOR t IN SELECT ty.oid::regtype::text FROM pg_type ty
            JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = ty.oid AND d.deptype = 'e'
            WHERE ty.typtype IN ('b', 'd', 'e', 'r') AND ty.typelem = 0 ORDER BY 1 LOOP
        EXECUTE format('CREATE TABLE type_%s (v %s, vs %s[])', n, t, t);
        FOREACH s IN ARRAY samples LOOP
            BEGIN
                EXECUTE format('INSERT INTO type_%s VALUES (%L, ARRAY[%L, NULL]::%s[])', n, s, s, t);
            EXCEPTION WHEN OTHERS THEN
                CONTINUE;
            END;
        END LOOP;
        n := n + 1;
    END LOOP;
END $$;
-- An index for each operator class of an extension, on a table with enough rows.
DO $$
DECLARE c record; n int := 0;
BEGIN
    FOR c IN SELECT o.oid, format('%I.%I', ns.nspname, o.opcname) AS class, am.amname AS method, o.opcintype::regtype::text AS type
            FROM pg_opclass o JOIN pg_am am ON am.oid = opcmethod JOIN pg_namespace ns ON ns.oid = opcnamespace
            JOIN pg_depend d ON d.classid = 'pg_opclass'::regclass AND d.objid = o.oid AND d.deptype = 'e'
            WHERE o.opcintype::regtype::text NOT LIKE 'any%' ORDER BY ns.nspname COLLATE "C", o.opcname COLLATE "C", am.amname LOOP
        BEGIN
            EXECUTE format('CREATE TABLE class_%s (v %s)', n, c.type);
            EXECUTE format('CREATE INDEX ON class_%s USING %I (v %s)', n, c.method, c.class);
        EXCEPTION WHEN OTHERS THEN
            CONTINUE;
        END;
        n := n + 1;
    END LOOP;
END $$;
