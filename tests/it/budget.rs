//! A wrong-answer budget against simulated traffic whose truth is known.

mod traffic;

use reprise::semantic::budget::{
    Anew, Budget, Draw, Fallback, Heard, Opened, Serving, Settings, Standing, Start, Terms, Ticket, Unfit,
    Verdict,
};
use std::io::Write;
use traffic::{BUDGET, Dice, HARD, SUPPORT, Stretch, Topic, World, truth};

fn from_085() -> Settings {
    Settings { start: Start::At(0.85), ..Settings::new(BUDGET) }
}

fn drifted(by: f64) -> Topic {
    Topic { right_at: (0.93 + by, 0.04), wrong_at: (0.85 + by, 0.04), ..SUPPORT }
}

fn hopeless() -> Topic {
    Topic { weight: 0.2, wrong_at: (0.96, 0.02), ..HARD }
}

/// The life of a route: from an unproven 0.85 under budget, then through shifts of several kinds.
fn life() -> Vec<(&'static str, Vec<Topic>)> {
    vec![
        ("start at 0.85", vec![SUPPORT]),
        ("the same", vec![SUPPORT]),
        ("the wrong share doubles", vec![Topic { wrong: 0.356, ..SUPPORT }]),
        ("and halves again", vec![SUPPORT]),
        ("scores move up by 0.03", vec![drifted(0.03)]),
        ("and down again", vec![SUPPORT]),
        ("a hard topic appears", vec![SUPPORT, HARD]),
        ("and goes", vec![SUPPORT]),
    ]
}

fn live(settings: Settings, error: f64, seed: u64, requests: u64) -> Vec<Stretch> {
    let _ = writeln!(std::io::stderr(), "audit error {error}, seed {seed}");
    let mut world = World::new(settings, error, seed);
    let stretch = |(name, mix): (&str, Vec<Topic>)| {
        let stretch = world.traffic(&mix, requests);
        stretch.print(name);
        stretch
    };
    life().into_iter().map(stretch).collect()
}

/// What is expected of a few lives together. One stretch of 40,000 requests has some 500 audits, too few to tell 1.2 %
/// from 1 %, so a single stretch may be a little over; a whole life may not.
fn is_held(lives: &[Vec<Stretch>]) {
    for life in lives {
        let within = life[0].until_within.expect("came under the budget");
        assert!(within <= 1_000, "under budget only after {within} requests");
        let (wrong, hits) =
            life[1..].iter().fold((0, 0), |sum, part| (sum.0 + part.wrong, sum.1 + part.hits));
        assert!(wrong as f64 <= BUDGET * hits as f64, "{wrong} of {hits} hits were wrong");
        let worst = life[1..].iter().map(Stretch::wrong_rate).fold(0.0, f64::max);
        assert!(worst <= 1.6 * BUDGET, "a stretch with {worst} wrong");
    }
    let later: Vec<&Stretch> = lives.iter().flat_map(|life| &life[1..]).collect();
    let share = |part: fn(&Stretch) -> f64, whole: fn(&Stretch) -> f64| {
        later.iter().map(|stretch| part(stretch)).sum::<f64>()
            / later.iter().map(|stretch| whole(stretch)).sum::<f64>()
    };
    let over = share(|stretch| stretch.over_after as f64, |stretch| stretch.requests as f64);
    assert!(over <= 0.15, "over budget for {over} of the time");
    let far_over = share(|stretch| stretch.far_over_after as f64, |stretch| stretch.requests as f64);
    assert!(far_over <= 0.01, "over twice the budget for {far_over} of the time");
    let audits = share(|stretch| stretch.audits as f64, |stretch| stretch.hits as f64);
    assert!(audits <= 0.12, "{audits} of the hits were audited");
    let kept = share(|stretch| stretch.hits as f64, |stretch| stretch.oracle_hits);
    assert!(kept >= 0.3, "{kept} of the possible hits kept: too timid to be of use");
    let _ =
        writeln!(std::io::stderr(), "over {over:.4}, far {far_over:.4}, audits {audits:.4}, kept {kept:.4}");
}

#[test]
fn ten_per_cent_wrong_comes_under_one_and_stays_there_while_the_mix_shifts() {
    assert!((truth(&[SUPPORT], 0.85).1 - 0.10).abs() < 0.002, "the traffic is what it claims");
    is_held(&[1, 2].map(|seed| live(from_085(), 0.0, seed, 40_000)));
}

#[test]
fn the_same_with_audits_that_err_five_times_in_a_hundred() {
    let settings = || Settings { audit_error: 0.05, ..from_085() };
    is_held(&[1, 2].map(|seed| live(settings(), 0.05, seed, 40_000)));
}

/// The numbers of docs/TRUST.md: `cargo test --release --test it budget::measure -- --ignored --nocapture`
#[test]
#[ignore = "a measurement of some minutes"]
fn measure() {
    for requests in [40_000, 200_000] {
        for error in [0.0, 0.05] {
            let settings = || Settings { audit_error: error, ..from_085() };
            is_held(&std::array::from_fn::<_, 20, _>(|seed| live(settings(), error, seed as u64, requests)));
        }
    }
}

#[test]
fn where_no_threshold_holds_the_route_is_exact_and_finds_its_way_back() {
    let mut world = World::new(Settings::new(BUDGET), 0.0, 3);
    assert_eq!(world.budget.threshold(), Fallback::Exact, "nothing is served before it is proven");
    world.traffic(&[SUPPORT], 40_000);
    assert_eq!(world.budget.report().standing, Standing::Held);
    world.traffic(&[SUPPORT, hopeless()], 40_000);
    assert_eq!(
        (world.budget.threshold(), world.budget.report().standing),
        (Fallback::Exact, Standing::Exact)
    );
    let audits = world.budget.report().counts.audits;
    let late = world.traffic(&[SUPPORT, hopeless()], 20_000);
    assert_eq!((late.hits, world.budget.report().counts.audits), (0, audits), "exact costs no upstream call");
    world.traffic(&[SUPPORT], 60_000);
    assert_eq!(world.budget.report().standing, Standing::Held, "and back");
}

#[test]
fn no_proof_comes_from_fewer_labels_than_a_proof_needs() {
    let budget = Budget::new(Settings::new(BUDGET), 1).expect("fit");
    let needed = budget.report().evidence_needed;
    assert!((300..=700).contains(&needed), "{needed}");
    let mut labels = 0;
    while budget.threshold() == Fallback::Exact {
        let Draw::Audit(ticket) = budget.on_miss(0.995, None) else { unreachable!("all shadows are drawn") };
        budget.hear(ticket, Verdict::Agrees);
        labels += 1;
    }
    assert_eq!(labels, needed);
    assert_eq!(budget.report().bound, Some(BUDGET));
}

#[test]
fn a_wrong_start_is_given_up_after_a_few_wrong_answers() {
    let budget = Budget::new(from_085(), 1).expect("fit");
    assert_eq!((budget.threshold(), budget.report().standing), (Fallback::From(0.85), Standing::Unproven));
    let mut wrong = 0;
    while budget.threshold() != Fallback::Exact {
        if let Draw::Audit(ticket) = budget.on_hit(0.9, None) {
            wrong += 1;
            budget.hear(ticket, Verdict::Differs);
        }
    }
    assert!(wrong <= 4, "{wrong}");
}

#[test]
fn a_wrong_verdict_is_asked_for_again_where_audits_err() {
    let settings = Settings { audit_error: 0.05, ..Settings::new(BUDGET) };
    let budget = Budget::new(settings, 1).expect("fit");
    let drawn = || match budget.on_miss(0.9, None) {
        Draw::Audit(ticket) => ticket,
        Draw::Skip => unreachable!("all shadows are drawn"),
    };
    let again = |ticket: Ticket, verdict| match budget.hear(ticket, verdict) {
        Heard::AskAgain(ticket) => ticket,
        Heard::Settled => unreachable!("settled too soon"),
    };
    let twice = again(again(drawn(), Verdict::Differs), Verdict::Differs);
    assert_eq!(budget.hear(twice, Verdict::Differs), Heard::Settled);
    let once = again(drawn(), Verdict::Differs);
    assert_eq!(budget.hear(once, Verdict::Agrees), Heard::Settled, "one agreement settles it");
    let counts = budget.report().counts;
    assert_eq!((counts.labels, counts.wrong, counts.verdicts), (2, 1, 5));
}

#[test]
fn audits_never_exceed_their_share() {
    let mut settings = from_085();
    settings.audits.burst = 50;
    settings.audits.learning = 1.0;
    let budget = Budget::new(settings, 5).expect("fit");
    for _ in 0..20_000 {
        if let Draw::Audit(ticket) = budget.on_hit(0.97, None) {
            budget.lose(ticket);
        }
    }
    let counts = budget.report().counts;
    assert!(counts.audits <= 50 + counts.candidates / 50 && counts.audits > 400, "{counts:?}");
    assert!(counts.lost > 0 && counts.labels == 0, "{counts:?}");
}

#[test]
fn observe_mode_proves_without_serving() {
    let settings = Settings { serving: Serving::Observe, ..Settings::new(BUDGET) };
    let budget = Budget::new(settings, 9).expect("fit");
    for _ in 0..3_000 {
        let Draw::Audit(ticket) = budget.on_miss(0.97, Some(0.9)) else { unreachable!("all are drawn") };
        budget.hear(ticket, Verdict::Agrees);
    }
    let report = budget.report();
    assert!(matches!(report.serve, Fallback::From(_)) && report.counts.audits == 0, "{report:?}");
    assert!(report.bound.is_some_and(|bound| bound < BUDGET), "{report:?}");
    assert!(
        report.verifier_excess.is_some_and(|excess| (excess - 0.1).abs() < 1e-3),
        "it expected one wrong in ten"
    );
}

#[test]
fn a_complaint_tightens_and_never_loosens() {
    let mut world = World::new(Settings::new(BUDGET), 0.0, 3);
    world.traffic(&[SUPPORT], 40_000);
    let Fallback::From(before) = world.budget.threshold() else { unreachable!("held") };
    for _ in 0..3 {
        world.budget.complain(1.0);
    }
    assert!(match world.budget.threshold() {
        Fallback::From(after) => after > before,
        Fallback::Exact => true,
    });
}

#[test]
fn evidence_survives_a_restart() {
    let mut world = World::new(Settings::new(BUDGET), 0.0, 3);
    world.traffic(&[SUPPORT], 40_000);
    let saved = world.budget.save().expect("saved");
    let Opened::Resumed(mut again) = Budget::open(Settings::new(BUDGET), 77, &saved).expect("fit") else {
        unreachable!("taken up")
    };
    assert_eq!(again.threshold(), world.budget.threshold());
    assert_eq!(again.save().expect("saved"), saved, "nothing is lost or added");
    std::mem::swap(&mut world.budget, &mut again);
    let mut twin = World { budget: again, dice: Dice(world.dice.0), error: 0.0 };
    world.traffic(&[SUPPORT], 5_000);
    twin.traffic(&[SUPPORT], 5_000);
    assert_eq!(
        world.budget.save().expect("saved"),
        twin.budget.save().expect("saved"),
        "and goes on as if nothing had been"
    );
}

#[test]
fn evidence_that_cannot_be_used_is_not_used() {
    let saved = Budget::new(Settings::new(BUDGET), 1).expect("fit").save().expect("saved");
    let text = String::from_utf8(saved.clone()).expect("text");
    let open = |settings: Settings, json: &str| match Budget::open(settings, 1, json.as_bytes()).expect("fit")
    {
        Opened::Resumed(_) => unreachable!("taken up"),
        Opened::Anew(budget, why) => {
            assert_eq!(budget.threshold(), Fallback::Exact);
            why
        }
    };
    assert!(matches!(open(Settings::new(BUDGET), &text[..text.len() / 2]), Anew::Corrupt(_)));
    assert!(matches!(open(Settings::new(BUDGET), &text.replacen("0.25", "-0.25", 1)), Anew::Corrupt(_)));
    assert_eq!(
        open(Settings::new(BUDGET), &text.replacen("\"version\":1", "\"version\":99", 1)),
        Anew::Version(99)
    );
    assert_eq!(open(Settings::new(0.02), &text), Anew::Asks);
    assert_eq!(
        open(Settings { basis: "another model".to_owned(), ..Settings::new(BUDGET) }, &text),
        Anew::Asks
    );
}

#[test]
fn settings_that_could_prove_nothing_are_refused() {
    assert_eq!(Terms::of(Settings::new(0.0)), Err(Unfit::Rate(0.0)));
    let coin = Settings { audit_error: 0.5, ..Settings::new(BUDGET) };
    assert_eq!(Terms::of(coin), Err(Unfit::Error(0.5)));
    let below = Settings { start: Start::At(0.5), ..Settings::new(BUDGET) };
    assert!(matches!(Terms::of(below), Err(Unfit::Start(..))));
}
