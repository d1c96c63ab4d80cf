//! Pictures of small policies.

use expect_test::expect;
use provost_engine::graph::Policy;

use super::{
    BOXES_MAX, Look, Picture, PictureBox, Wanted,
    svg::{TooLarge, svg},
};
use crate::compile::{Source, compile};

fn policy(text: &str) -> Policy {
    let source = Source {
        path: "drawn.pol".into(),
        text: text.to_owned(),
    };
    compile(&[source]).unwrap().policy
}

const SHOP: &str = r#"
exclude baseline
group agents = "ai-agents"
group staff = "employees"
group privacy = "privacy-office"
class pii = public.customers.email
rule agents-read allow read on public.* for agents
rule no-orders deny read on public.orders for agents when limit > 100 because "\"<much>\" & more"
rule staff-write allow insert, update on public.* for staff
rule emails mask pii for anyone except privacy
"#;

#[test]
fn a_focus_leaves_only_its_own_rules() {
    let wanted = Wanted {
        group: Some("ai-agents"),
        relation: Some("orders"),
    };
    expect![[r##"
        digraph policy {
          rankdir=LR;
          node [shape=box, style="rounded,filled", fillcolor=white, fontname="sans-serif"];
          edge [fontname="sans-serif"];
          n0 [label="operation?"];
          n1 [label="denied: no rule allows it", fillcolor="#f3f3f3", style="rounded,filled,dashed"];
          n2 [label="LIMIT?"];
          n3 [label="allow by agents-read", fillcolor="#eef3fb"];
          n4 [label="allow by agents-read\ndeny by no-orders", fillcolor="#eef3fb"];
          n0 -> n2 [label="read"];
          n0 -> n1 [label="otherwise"];
          n2 -> n4 [label="above 100"];
          n2 -> n3 [label="otherwise"];
        }
    "##]].assert_eq(&Picture::new(&policy(SHOP), &wanted).dot());
}

#[test]
fn all_of_it_has_everybodys_rules() {
    let text = Picture::new(&policy(SHOP), &Wanted::default()).dot();
    for rule in ["agents-read", "no-orders", "staff-write", "emails"] {
        assert!(text.contains(rule), "{rule} in {text}");
    }
}

#[test]
fn svg_is_well_formed_and_escaped() {
    let picture = Picture {
        boxes: vec![
            PictureBox {
                lines: vec!["a < b & \"c\"".to_owned(), "second".to_owned()],
                look: Look::Question,
            },
            PictureBox {
                lines: vec!["d".to_owned()],
                look: Look::Rules,
            },
        ],
        arrows: vec![super::PictureArrow {
            from: 0,
            to: 1,
            label: "<script>".to_owned(),
        }],
    };
    let text = svg(&picture).unwrap();
    assert!(text.contains("a &lt; b &amp; &quot;c&quot;"), "{text}");
    assert!(text.contains("&lt;script&gt;"), "{text}");
    assert!(!text.contains("<script"), "{text}");
    for tag in ["g", "text", "svg", "style"] {
        let opened =
            text.matches(&format!("<{tag} ")).count() + text.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, text.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn too_many_boxes_are_refused() {
    let one = PictureBox {
        lines: vec!["x".to_owned()],
        look: Look::Rules,
    };
    let picture = Picture {
        boxes: vec![one; BOXES_MAX + 1],
        arrows: Vec::new(),
    };
    assert_eq!(
        picture.svg(),
        Err(TooLarge {
            boxes: BOXES_MAX + 1
        })
    );
}
