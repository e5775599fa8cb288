//! The graph against its definition.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

fn graph(nodes: &[(&str, &[&str])]) -> Result<Graph, ConfigError> {
    let nodes: Vec<_> = nodes
        .iter()
        .map(|(name, parents)| {
            let parents = parents.iter().map(|parent| (*parent).to_owned()).collect();
            ((*name).to_owned(), parents)
        })
        .collect();
    Graph::new(&nodes)
}

#[test]
fn a_cycle_is_named_by_its_path() {
    let error = graph(&[("x", &["a"]), ("a", &["b"]), ("b", &["c"]), ("c", &["a"])]).unwrap_err();
    assert_eq!(error.field(), "depends_on");
    assert_eq!(error.value(), "a -> b -> c -> a");
    assert_eq!(graph(&[("a", &["a"])]).unwrap_err().value(), "a -> a");
}

#[test]
fn unknown_and_duplicate_names_are_refused() {
    let unknown = graph(&[("ledger", &["databse"])]).unwrap_err();
    assert_eq!(unknown.value(), "ledger -> databse");
    let twice = graph(&[("db", &[]), ("db", &[])]).unwrap_err();
    assert_eq!((twice.field(), twice.value()), ("dependency name", "db"));
    assert!(graph(&[("a", &[]), ("b", &["a", "a"])]).is_ok());
}

#[test]
fn names_that_would_break_a_path_or_a_key_are_refused() {
    let long = "x".repeat(65);
    for name in [
        "",
        "a b",
        "a/b",
        "a:b",
        "a\n",
        "é",
        "\u{1b}[31m",
        "a%2f",
        &long,
    ] {
        let error = graph(&[(name, &[])]).unwrap_err();
        assert_eq!(error.field(), "dependency name", "{name:?}");
        assert!(error.value().len() <= 256);
    }
    assert!(graph(&[("orders-db_1.eu", &[])]).is_ok());
}

#[test]
fn a_diamond_has_its_roots_once_and_in_order() {
    let graph = graph(&[("d", &["b", "c"]), ("b", &["a"]), ("c", &["a"]), ("a", &[])]).unwrap();
    assert_eq!(graph.order(), [3, 1, 2, 0]);
    let blocked = graph.blocked(|index| index == 3);
    assert!([0, 1, 2].iter().all(|index| blocked.contains(*index)));
    assert!(!blocked.contains(3));
    assert!(graph.ancestors(0).contains(3));
}

#[test]
fn more_dependencies_than_fit_are_refused() {
    let nodes: Vec<_> = (0..=MAX_NAMES)
        .map(|i| (format!("d{i}"), Vec::new()))
        .collect();
    assert_eq!(Graph::new(&nodes).unwrap_err().field(), "dependencies");
    assert!(Graph::new(&nodes[..MAX_NAMES]).is_ok());
}

proptest! {
    /// Adding the one edge that closes a circle to a chain is always found and always named.
    #[test]
    fn every_closed_chain_is_refused(length in 1_usize..40, noise in 0_usize..10) {
        let mut nodes: Vec<_> = (0..length)
            .map(|i| (format!("n{i}"), vec![format!("n{}", (i + 1) % length)]))
            .collect();
        nodes.extend((0..noise).map(|i| (format!("free{i}"), vec!["n0".to_owned()])));
        let path = Graph::new(&nodes).unwrap_err().value().to_owned();
        let named: Vec<_> = path.split(" -> ").collect();
        prop_assert_eq!(named.len(), length + 1);
        prop_assert_eq!(named[0], named[length]);
    }
}

/// Any graph whose edges point from later to earlier nodes of a shuffled order is accepted, and
/// whatever is down, the blocked are exactly those that reach something down.
#[test]
fn blocked_is_what_rests_on_something_down() {
    let edges = prop::collection::vec((0_usize..20, 0_usize..20), 0..60);
    let down = prop::collection::vec(any::<bool>(), 20);
    let shuffle = Just((0..20).collect::<Vec<usize>>()).prop_shuffle();
    let indirectly = Cell::new(0);
    TestRunner::default()
        .run(&(edges, down, shuffle), |(edges, down, shuffle)| {
            let mut nodes: Vec<_> = (0..20).map(|i| (format!("n{i}"), Vec::new())).collect();
            for (a, b) in edges {
                if a != b {
                    let (low, high) = (a.min(b), a.max(b));
                    nodes[shuffle[high]].1.push(format!("n{}", shuffle[low]));
                }
            }
            let graph = Graph::new(&nodes).unwrap();
            for (position, &index) in graph.order().iter().enumerate() {
                for parent in graph.parents(index) {
                    prop_assert!(graph.order()[..position].contains(parent));
                }
            }
            let blocked = graph.blocked(|index| down[index]);
            for index in 0..20 {
                let rests = (0..20).any(|a| graph.ancestors(index).contains(a) && down[a]);
                prop_assert_eq!(blocked.contains(index), rests);
                let directly = graph.parents(index).iter().any(|parent| down[*parent]);
                indirectly.set(indirectly.get() + usize::from(rests && !directly));
            }
            Ok(())
        })
        .unwrap();
    assert!(indirectly.get() > 50, "the graphs were too shallow");
}
