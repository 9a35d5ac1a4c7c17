//! The invariants of ARCHITECTURE.md over generated lives of a simulated world: leaders crash and come back, connections
//! break, agents die, and nothing that was acknowledged is lost or done twice.

use conductor_core::{AttemptEnd, Outcome};
use conductor_testkit::sim::{Flaw, World, actions};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

/// How many sequences are tried; `CONDUCTOR_TEST_SCALE` multiplies it.
const CASES: u32 = 128;

fn config() -> Config {
    let scale = std::env::var("CONDUCTOR_TEST_SCALE").ok().and_then(|scale| scale.parse().ok());
    Config {
        cases: CASES * scale.unwrap_or(1),
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        max_shrink_time: 60_000,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_is_done_twice(actions in actions(200)) {
        let mut world = World::default();
        for action in &actions {
            world.act(action);
        }
        world.come_to_rest();
    }

    #[test]
    fn the_same_life_lived_twice_leaves_the_same_log(actions in actions(120)) {
        let facts = [(); 2].map(|()| {
            let mut world = World::default();
            for action in &actions {
                world.act(action);
            }
            world.come_to_rest();
            format!("{:?}", world.facts())
        });
        prop_assert_eq!(&facts[0], &facts[1]);
    }
}

/// A world in which little happens proves little.
#[test]
fn generated_lives_reach_every_end() {
    let mut runner = TestRunner::deterministic();
    let (mut acknowledged, mut reached) = (0, [0; 8]);
    for _ in 0..40 {
        let actions = actions(400).new_tree(&mut runner).expect("a sequence").current();
        let mut world = World::default();
        for action in &actions {
            world.act(action);
        }
        world.come_to_rest();
        acknowledged += world.acknowledged().len();
        for end in world.facts().ended().values() {
            reached[match end {
                AttemptEnd::Succeeded => 0,
                AttemptEnd::Failed(_) => 1,
                AttemptEnd::Crashed(_) => 2,
                AttemptEnd::Stopped => 3,
                AttemptEnd::Cancelled => 4,
                AttemptEnd::Limited { .. } => 5,
            }] += 1;
        }
        for outcome in world.facts().finished().values() {
            match outcome {
                Outcome::Succeeded => {}
                Outcome::Failed(_) => reached[6] += 1,
                Outcome::Cancelled(_) => reached[7] += 1,
            }
        }
    }
    println!("{acknowledged} acknowledged; ends {reached:?}");
    assert!(acknowledged > 100 && reached.iter().all(|count| *count > 5), "{acknowledged} {reached:?}");
}

/// How many lives of a flawed world are lived until it counts as sound.
const FLAWED_LIVES: usize = 400;

/// Says whether generated lives of a world with this flaw go wrong some time.
fn is_found(flaw: Flaw) -> bool {
    let mut runner = TestRunner::deterministic();
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = (0..FLAWED_LIVES).any(|_| {
        let actions = actions(200).new_tree(&mut runner).expect("a sequence").current();
        let life = move || {
            let mut world = World::flawed(flaw);
            actions.iter().for_each(|action| world.act(action));
            world.come_to_rest();
        };
        std::panic::catch_unwind(life).is_err()
    });
    std::panic::set_hook(quiet);
    found
}

#[test]
fn telling_before_writing_is_found() {
    assert!(is_found(Flaw::TellsBeforeItWrites));
}

#[test]
fn writing_without_sync_is_found() {
    assert!(is_found(Flaw::WritesWithoutSync));
}

#[test]
fn telling_a_new_connection_what_was_for_the_old_one_is_found() {
    assert!(is_found(Flaw::AttachesAtOnce));
}
