//! The learned score: P(one answer serves both), from [`features`](super::features).
//!
//! Gradient-boosted trees, a few kilobytes, in `models/verifier-score.txt`: written by `scripts/train-verifier` with its provenance
//! at its head. One line a tree, nodes in preorder: `feature threshold` for a split (left if not greater), `= value` for a leaf; the
//! sum of leaves goes through a logistic function. A few microseconds for all trees.

use super::features::{COUNT, NAMES};
use std::sync::LazyLock;

enum Node {
    /// Feature, threshold, index of the right child; the left one is next.
    Split(usize, f32, usize),
    Leaf(f32),
}

struct Score {
    bias: f32,
    trees: Vec<Vec<Node>>,
}

static SCORE: LazyLock<Score> =
    LazyLock::new(|| Score::read(include_str!("../../../models/verifier-score.txt")));

/// P(one answer serves both), 0 to 1.
pub fn probability(features: &[f32; COUNT]) -> f32 {
    let sum: f32 = SCORE.trees.iter().map(|tree| walk(tree, features)).sum();
    1.0 / (1.0 + (-(sum + SCORE.bias)).exp())
}

fn walk(tree: &[Node], features: &[f32; COUNT]) -> f32 {
    let mut at = 0;
    loop {
        match tree.get(at) {
            Some(Node::Split(feature, threshold, right)) => {
                at = if features[*feature] <= *threshold { at + 1 } else { *right };
            }
            Some(Node::Leaf(value)) => return *value,
            None => return 0.0,
        }
    }
}

impl Score {
    fn read(text: &str) -> Score {
        let mut score = Score { bias: 0.0, trees: Vec::new() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut parts = line.split_whitespace();
            match parts.next() {
                Some("bias") => score.bias = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0.0),
                Some("tree") => {
                    let mut tree = Vec::new();
                    grow(&mut parts, &mut tree);
                    score.trees.push(tree);
                }
                _ => {}
            }
        }
        score
    }
}

/// Reads one subtree.
fn grow<'a>(parts: &mut impl Iterator<Item = &'a str>, tree: &mut Vec<Node>) {
    let name = parts.next().unwrap_or("=");
    let value: f32 = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0.0);
    let Some(feature) = NAMES.iter().position(|known| *known == name) else {
        tree.push(Node::Leaf(value));
        return;
    };
    let at = tree.len();
    tree.push(Node::Split(feature, value, 0));
    grow(parts, tree);
    let right = tree.len();
    tree[at] = Node::Split(feature, value, right);
    grow(parts, tree);
}
