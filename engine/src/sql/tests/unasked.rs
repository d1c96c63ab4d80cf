//! What a body, a document and a domain run without being asked: casts and checks of users.

use super::*;

/// Whether a statement over a schema reads `customers`, or is opaque: what a body, a cast or a check does is seen.
fn check_reads(catalog: &Catalog, sql: &str, reads: bool) {
    let statements = read_deep_on(catalog, sql.as_bytes(), Witness::Deny)
        .unwrap_or_else(|refusal| panic!("{sql}: {refusal:?}"));
    let is_customers = |access: &Access| matches!(&access.object, Object::Relation { name, .. } if **name == *"customers");
    let is_seen = statements.iter().any(|statement| {
        let facts = &statement.facts;
        facts.accesses.iter().any(is_customers) || !facts.opaque.is_empty()
    });
    let facts: String = statements
        .iter()
        .map(|one| facts_text(&one.facts))
        .collect();
    assert_eq!(is_seen, reads, "{sql}\n{facts}");
}

const LEAKY: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, ssn text);
    CREATE TABLE plain (id int, name text, amount int);
    CREATE TYPE en AS ENUM ('a', 'b');
    CREATE TYPE other AS ENUM ('c');
    CREATE DOMAIN named AS en;
    CREATE TYPE pair AS (id int, e en);
    CREATE TABLE colours (id int, e en, many en[], one named, p pair);
    CREATE FUNCTION leaks(text) RETURNS boolean LANGUAGE sql AS 'SELECT count(ssn) > 0 FROM public.customers';
";

/// A value that is computed in a body is cast to the type of what it is assigned to, without being asked.
#[test]
fn casts_by_assignment_in_bodies_are_seen() {
    let schema = format!(
        "{LEAKY}
        CREATE FUNCTION shown(en) RETURNS text LANGUAGE sql STABLE AS 'SELECT ssn FROM public.customers LIMIT 1';
        CREATE FUNCTION counted(en) RETURNS int LANGUAGE sql STABLE AS 'SELECT id FROM public.customers LIMIT 1';
        CREATE FUNCTION made(int) RETURNS other LANGUAGE sql STABLE AS $$ SELECT 'c'::other FROM public.customers $$;
        CREATE CAST (en AS text) WITH FUNCTION shown(en) AS IMPLICIT;
        CREATE CAST (en AS int) WITH FUNCTION counted(en) AS ASSIGNMENT;
        CREATE CAST (int AS other) WITH FUNCTION made(int) AS ASSIGNMENT;
        CREATE FUNCTION by_return() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'a'::en; END $$;
        CREATE FUNCTION by_result() RETURNS text LANGUAGE sql AS $$ SELECT 'a'::en $$;
        CREATE FUNCTION by_standard() RETURNS text RETURN 'a'::en;
        CREATE FUNCTION by_column() RETURNS TABLE (n int) LANGUAGE sql AS $$ SELECT 'a'::en $$;
        CREATE FUNCTION by_out(OUT t text) LANGUAGE plpgsql AS $$ BEGIN t := 'a'::en; END $$;
        CREATE FUNCTION by_variable() RETURNS int LANGUAGE plpgsql AS $$ DECLARE v int; BEGIN v := 'a'::en; RETURN 1; END $$;
        CREATE FUNCTION by_default() RETURNS int LANGUAGE plpgsql AS $$ DECLARE v int := 'a'::en; BEGIN RETURN 1; END $$;
        CREATE FUNCTION by_into() RETURNS int LANGUAGE plpgsql AS $$ DECLARE v int; BEGIN SELECT 'a'::en INTO v; RETURN 1; END $$;
        CREATE FUNCTION by_field() RETURNS int LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN SELECT 1 AS f INTO r; r.f := 'a'::en; RETURN 1; END $$;
        CREATE FUNCTION by_loop() RETURNS int LANGUAGE plpgsql AS $$ DECLARE r plain; BEGIN FOR r IN SELECT 'a'::en, 'x', 1 LOOP END LOOP; RETURN 1; END $$;
        CREATE FUNCTION by_bound() RETURNS int LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..'b'::en LOOP END LOOP; RETURN 1; END $$;
        CREATE FUNCTION by_execute() RETURNS int LANGUAGE plpgsql AS $$ DECLARE v int; BEGIN EXECUTE 'SELECT ''a''::en' INTO v; RETURN 1; END $$;
        CREATE FUNCTION by_server_type() RETURNS int LANGUAGE plpgsql AS $$ DECLARE v other; BEGIN v := 1; RETURN 1; END $$;
        CREATE FUNCTION by_argument(t text DEFAULT 'a'::en) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION takes_other(other) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION honest(a int, b text) RETURNS text LANGUAGE sql AS $$ SELECT b || 'x' WHERE a > 1 $$;
        CREATE FUNCTION adds(a int, b int) RETURNS int LANGUAGE plpgsql AS $$
            DECLARE t int := 0; w ALIAS FOR t; BEGIN FOR i IN 1..b LOOP t := t + i; END LOOP; IF w > a THEN RETURN w; END IF; RETURN t; END $$;
        CREATE FUNCTION hides() RETURNS int LANGUAGE plpgsql AS $$
            DECLARE v int := 1; r text; BEGIN DECLARE v en := 'a'; BEGIN r := v; END; RETURN v; END $$;
        "
    );
    let catalog = crate::schema::read(&schema, "shop").unwrap();
    for name in [
        "by_return",
        "by_result",
        "by_standard",
        "by_column",
        "by_out",
        "by_variable",
        "by_default",
        "by_into",
        "by_field",
        "by_loop",
        "by_bound",
        "by_execute",
        "by_server_type",
        "by_argument",
    ] {
        check_reads(&catalog, &format!("SELECT {name}()"), true);
    }
    for (sql, reads) in [
        ("DO $$ DECLARE v text; BEGIN v := 'a'::en; END $$", true),
        ("INSERT INTO plain VALUES ('a'::en, 'x')", true),
        ("INSERT INTO plain (amount) SELECT e FROM colours", true),
        ("INSERT INTO plain (amount) SELECT one FROM colours", true),
        ("SELECT upper(one) FROM colours", true),
        ("SELECT takes_other(1)", true),
        ("SELECT 'a'::en::text", true),
        ("SELECT e::int FROM colours", true),
        ("SELECT many::int[] FROM colours", true),
        // Values whose types are known, and are others.
        ("SELECT id::text, name::int, '1'::int FROM plain", false),
        ("INSERT INTO plain VALUES (1, 'x', 2)", false),
        (
            "INSERT INTO plain SELECT id, name, amount FROM plain",
            false,
        ),
        ("UPDATE plain SET amount = amount + 1, name = 'y'", false),
        ("SELECT honest(id, name) FROM plain", false),
    ] {
        check_reads(&catalog, sql, reads);
    }
    // A body may assign to a record whose field is of any type: what starts from a type of the server's own is taken for run.
    check_reads(&catalog, "SELECT adds(1, id) FROM plain", true);
    let of_users = schema.replace("CREATE CAST (int AS other)", "--");
    let catalog = crate::schema::read(&of_users, "shop").unwrap();
    check_reads(&catalog, "SELECT adds(1, id) FROM plain", false);
    check_reads(&catalog, "SELECT hides()", true);
}

/// Assigning to a domain runs its checks, also where a body does it.
#[test]
fn checks_of_domains_in_bodies_are_seen() {
    let schema = format!(
        "{LEAKY}
        CREATE DOMAIN checked AS text CHECK (leaks(VALUE));
        CREATE TABLE strict (a checked, b int);
        CREATE TABLE filled (id int, a checked);
        CREATE FUNCTION fills() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := 'x'; RETURN NEW; END $$;
        CREATE TRIGGER filling BEFORE UPDATE ON filled FOR EACH ROW EXECUTE FUNCTION fills();
        CREATE FUNCTION by_result() RETURNS checked LANGUAGE sql AS $$ SELECT 'x' $$;
        CREATE FUNCTION by_row() RETURNS strict LANGUAGE sql AS $$ SELECT 'x', 1 $$;
        CREATE FUNCTION by_column() RETURNS TABLE (a checked) LANGUAGE plpgsql AS $$ BEGIN a := 5; RETURN NEXT; END $$;
        CREATE FUNCTION by_out(OUT a checked) LANGUAGE plpgsql AS $$ BEGIN a := 5; END $$;
        CREATE FUNCTION by_argument(a checked) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION by_variable() RETURNS int LANGUAGE plpgsql AS $$ DECLARE v checked; BEGIN v := 'x'; RETURN 1; END $$;
        CREATE FUNCTION by_quoted() RETURNS int LANGUAGE plpgsql AS $$ DECLARE v public.\"checked\"[]; BEGIN v[1] := 'x'; RETURN 1; END $$;
        CREATE FUNCTION by_type() RETURNS int LANGUAGE plpgsql AS $$ DECLARE v strict.a%TYPE; BEGIN v := 'x'; RETURN 1; END $$;
        CREATE FUNCTION by_row_type() RETURNS int LANGUAGE plpgsql AS $$ DECLARE r strict%ROWTYPE; BEGIN r.a := 'x'; RETURN 1; END $$;
        CREATE FUNCTION by_cursor() RETURNS int LANGUAGE plpgsql AS $$ DECLARE c CURSOR (k checked) FOR SELECT 1; BEGIN OPEN c('x'); RETURN 1; END $$;
        CREATE FUNCTION inside() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DECLARE n int; BEGIN SELECT b INTO n FROM public.strict; DECLARE v checked; BEGIN v := 'x'; END; END; RETURN 1; END $$;
        CREATE FUNCTION only_reads() RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN SELECT b INTO n FROM public.strict; RETURN n; END $$;
        "
    );
    let catalog = crate::schema::read(&schema, "shop").unwrap();
    for name in [
        "by_result",
        "by_row",
        "by_column",
        "by_out",
        "by_variable",
        "by_quoted",
        "by_type",
        "by_row_type",
        "by_cursor",
        "inside",
    ] {
        check_reads(&catalog, &format!("SELECT {name}()"), true);
    }
    for (sql, reads) in [
        ("SELECT by_argument('x')", true),
        ("DO $$ DECLARE v checked; BEGIN v := 'x'; END $$", true),
        ("UPDATE filled SET id = 2", true),
        ("SELECT only_reads()", false),
        ("SELECT a, b FROM strict", false),
    ] {
        check_reads(&catalog, sql, reads);
    }
}

/// A cast to json, also one that is for casts that are written only, is run by whatever makes a document of the value.
#[test]
fn casts_to_json_run_in_documents() {
    let schema = format!(
        "{LEAKY}
        CREATE FUNCTION told(en) RETURNS json LANGUAGE sql STABLE AS 'SELECT to_json(ssn) FROM public.customers LIMIT 1';
        CREATE CAST (en AS json) WITH FUNCTION told(en);"
    );
    let catalog = crate::schema::read(&schema, "shop").unwrap();
    for (sql, reads) in [
        ("SELECT to_json('a'::en), 1", true),
        ("SELECT to_jsonb(e) FROM colours", true),
        ("SELECT to_json(one) FROM colours", true),
        ("SELECT to_json(many) FROM colours", true),
        ("SELECT array_to_json(ARRAY['a'::en])", true),
        ("SELECT to_json(p) FROM colours", true),
        ("SELECT row_to_json(c) FROM colours c", true),
        ("SELECT row_to_json(x) FROM (SELECT 'a'::en) x", true),
        ("SELECT to_json(ROW(1, 'a'::en))", true),
        ("SELECT json_agg(e), jsonb_agg(c) FROM colours c", true),
        ("SELECT json_build_object('k', e) FROM colours", true),
        ("SELECT jsonb_build_array(1, e) FROM colours", true),
        ("SELECT json_object_agg(id, e) FROM colours", true),
        ("SELECT c.row_to_json FROM colours c", true),
        (
            "SELECT to_json(id), json_build_object('k', name, 'n', 1) FROM plain",
            false,
        ),
        ("SELECT row_to_json(p), json_agg(p) FROM plain p", false),
        ("SELECT e, upper('x') FROM colours", false),
    ] {
        check_reads(&catalog, sql, reads);
    }
}

/// The type that a constructor is asked for is one that a cast of a user may give.
#[test]
fn casts_from_documents_are_seen() {
    let answer = include_str!("../testdata/calls.answer");
    let newer = answer.replacen(
        "\"server_version_num\" : 15",
        "\"server_version_num\" : 17",
        1,
    );
    assert_ne!(answer, newer);
    let catalog = Catalog::from_answer(newer.as_bytes()).unwrap();
    for (sql, reads) in [
        ("SELECT JSON_SERIALIZE('{}' RETURNING pair)", true),
        ("SELECT JSON_OBJECT('k': 1 RETURNING pair)", true),
        ("SELECT JSON_OBJECT('k': 1 RETURNING jsonb)", false),
    ] {
        check_reads(&catalog, sql, reads);
    }
}
