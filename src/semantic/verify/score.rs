//! The learned score: P(one answer serves both), from [`features`](super::features).
//!
//! Gradient-boosted trees in `models/verifier-score.txt`, written by `scripts/train-verifier`; their provenance stands beside them.
//! `score korean` opens the trees for two Korean texts and `score other` those for all others. One line a tree, nodes in preorder:
//! `feature threshold` for a split (left if not greater), `= value` for a leaf; the sum of leaves goes through a logistic function. A
//! few microseconds for all trees.

use super::features::{COUNT, NAMES};
use super::text::hash;
use std::sync::LazyLock;

enum Node {
    /// Feature, threshold, index of the right child; the left one is next.
    Split(usize, f32, usize),
    Leaf(f32),
}

#[derive(Default)]
struct Score {
    bias: f32,
    trees: Vec<Vec<Node>>,
}

#[derive(Default)]
struct Scores {
    korean: Score,
    other: Score,
}

const FILE: &str = include_str!("../../../models/verifier-score.txt");

static SCORES: LazyLock<Scores> = LazyLock::new(|| Scores::read(FILE));

/// Reads the file.
pub fn prepare() {
    LazyLock::force(&SCORES);
}

/// Tells one trained score from another: a hash of its file. Some hundred microseconds.
pub fn edition() -> u64 {
    hash(FILE)
}

/// P(one answer serves both), 0 to 1; `korean` where both texts are.
pub fn probability(features: &[f32; COUNT], korean: bool) -> f32 {
    let score = if korean { &SCORES.korean } else { &SCORES.other };
    let sum: f32 = score.trees.iter().map(|tree| walk(tree, features)).sum();
    logistic(sum + score.bias)
}

/// From log-odds to a probability.
pub fn logistic(log_odds: f32) -> f32 {
    1.0 / (1.0 + (-log_odds).exp())
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

impl Scores {
    fn read(text: &str) -> Scores {
        let mut scores = Scores::default();
        let mut korean = false;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut parts = line.split_whitespace();
            let word = parts.next();
            let score = if korean { &mut scores.korean } else { &mut scores.other };
            match word {
                Some("score") => korean = parts.next() == Some("korean"),
                Some("bias") => score.bias = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0.0),
                Some("tree") => {
                    let mut tree = Vec::new();
                    grow(&mut parts, &mut tree);
                    score.trees.push(tree);
                }
                _ => {}
            }
        }
        scores
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_scores_are_read_whole_and_know_every_feature_they_name() {
        let text = include_str!("../../../models/verifier-score.txt");
        let count = text.lines().filter(|line| line.starts_with("tree ")).count();
        assert_eq!(SCORES.korean.trees.len() + SCORES.other.trees.len(), count);
        assert!(!SCORES.korean.trees.is_empty() && !SCORES.other.trees.is_empty());
        let named =
            text.lines().flat_map(str::split_whitespace).filter(|part| part.starts_with(char::is_alphabetic));
        let known = ["score", "korean", "other", "bias", "tree"];
        for name in named.filter(|name| {
            !known.contains(name) && !text.lines().any(|l| l.starts_with('#') && l.contains(name))
        }) {
            assert!(NAMES.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_tree_is_walked_left_where_the_feature_is_not_greater() {
        let scores = Scores::read("score korean\nbias 0.5\ntree cosine 0.8 = -1 overlap 0.5 = 1 = 2");
        let at = |cosine: f32, overlap: f32| {
            let mut features = [0.0; COUNT];
            (features[0], features[2]) = (cosine, overlap);
            walk(&scores.korean.trees[0], &features)
        };
        assert_eq!((at(0.8, 1.0), at(0.9, 0.5), at(0.9, 0.6)), (-1.0, 1.0, 2.0));
        assert_eq!((scores.korean.bias, scores.other.trees.len()), (0.5, 0));
    }
}
