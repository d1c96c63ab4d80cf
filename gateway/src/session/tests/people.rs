//! What waits for people: where in a pipeline it waits, what goes on meanwhile, and what becomes of what is behind it.

use expect_test::expect;

use super::harness::{Step::*, *};

#[test]
fn a_query_waits_and_then_goes_on() {
    case(
        "what is behind it waits, too",
        &[
            Client(vec![query("insert people"), query("select 2")]),
            People,
            Server(vec![complete("INSERT 0 1"), ready('I')]),
        ],
        expect![[r#"
            client
                ask query insert people Yes
              < N S=NOTICE C=00000 M=held insert people H=wait
              stalled
            people
                permit 1 query insert people
                permit 2 query select 2
              > Query(insert people)
              > Query(select 2)
            server
                end 1 Completed rows=1 bytes=0
                status I
              < C INSERT 0 1
              < Z I
        "#]],
    );
}

#[test]
fn nobody_is_asked_before_what_came_before_is_answered() {
    case(
        "an earlier Query",
        &[
            Client(vec![query("select 1"), query("insert people")]),
            Server(vec![complete("SELECT 1"), ready('I')]),
            People,
        ],
        expect![[r#"
            client
                permit 1 query select 1
              > Query(select 1)
              stalled
            server
                end 1 Completed rows=1 bytes=0
                status I
                ask query insert people Yes
              < C SELECT 1
              < Z I
              < N S=NOTICE C=00000 M=held insert people H=wait
              stalled
            people
                permit 2 query insert people
              > Query(insert people)
        "#]],
    );
    case(
        "an earlier error in the pipeline: nobody is asked at all",
        &[
            Client(vec![
                parse("", "select 1"),
                bind("", ""),
                execute("", 0),
                parse("p", "insert people"),
                bind("", "p"),
                execute("", 0),
                sync(),
            ]),
            Server(vec![bare('1'), bare('2'), error("22012", "zero")]),
            Server(vec![ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare select 1
                permit 2 bind select 1
                permit 3 prepare insert people
              > Parse(: select 1)
              > Bind( = )
              > Execute()
              > Parse(p: insert people)
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
                end 2 Failed rows=0 bytes=0 22012
                end 3 Skipped rows=0 bytes=0
              > Sync
              < 1
              < 2
              < E S=ERROR C=22012 M=zero D=value 123-45-6789 t=people
            server
                status I
              < Z I
        "#]],
    );
}

#[test]
fn a_pipeline_is_held_at_its_bind() {
    case(
        "parse is answered first; an Execute before it means that a transaction is open",
        &[
            Client(vec![
                parse("", "insert people"),
                bind("", ""),
                execute("", 0),
                sync(),
            ]),
            Server(vec![bare('1')]),
            People,
            Server(vec![bare('2'), complete("INSERT 0 1"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare insert people
              > Parse(: insert people)
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
                ask bind insert people Yes
              < 1
              < N S=NOTICE C=00000 M=held insert people H=wait
              stalled
            people
                permit 2 bind insert people
              > Bind( = )
              > Execute()
              > Sync
            server
                end 2 Completed rows=1 bytes=0
                status I
              < 2
              < C INSERT 0 1
              < Z I
        "#]],
    );
    case(
        "something ran before it in the segment",
        &[
            Client(vec![
                parse("", "select 1"),
                bind("", ""),
                execute("", 0),
                parse("", "insert people"),
                bind("", ""),
                flush(),
            ]),
            Server(vec![bare('1'), bare('2'), complete("SELECT 1"), bare('1')]),
        ],
        expect![[r#"
            client
                permit 1 prepare select 1
                permit 2 bind select 1
                permit 3 prepare insert people
              > Parse(: select 1)
              > Bind( = )
              > Execute()
              > Parse(: insert people)
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
                end 2 Completed rows=1 bytes=0
                end 3 Completed rows=0 bytes=0
                ask bind insert people InSegment
              < 1
              < 2
              < C SELECT 1
              < 1
              < N S=NOTICE C=00000 M=held insert people H=wait
              stalled
        "#]],
    );
}

#[test]
fn what_waits_when_the_session_ends_has_no_end_to_tell() {
    case(
        "it never was a statement",
        &[Client(vec![query("insert people")]), Close],
        expect![[r#"
            client
                ask query insert people Yes
              < N S=NOTICE C=00000 M=held insert people H=wait
              stalled
        "#]],
    );
}
