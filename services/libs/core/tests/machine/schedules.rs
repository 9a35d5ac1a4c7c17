//! Schedules.

use conductor_core::*;

use crate::world::*;

const ID: ScheduleId = ScheduleId(5);
const HOUR: u64 = 3_600_000;

fn with(overlap: Overlap, catch_up: CatchUp) -> World {
    let mut world = World::new();
    let next_at = world.now.wall.after(HOUR);
    let schedule =
        Schedule { id: ID, name: None, group: name("default"), overlap, catch_up, next_at, last_task: None };
    world.must(Command::AddSchedule { schedule: Box::new(schedule), by: actor() });
    world
}

fn due(world: &World) -> Wall {
    world.machine.state().schedule(ID).expect("known").next_at
}

fn fire(world: &mut World, missed: bool) -> Command {
    let (due_at, task) = (due(world), Box::new(world.task()));
    let next_at = due_at.after(HOUR);
    Command::FireSchedule {
        schedule: ID,
        due_at,
        next_at,
        missed,
        task,
        webhook: false,
        secrets: Box::default(),
        budget: Limit::default(),
        by: actor(),
    }
}

fn fired(step: &Step) -> Option<TaskId> {
    match step.reply {
        Reply::Fired { task } => task,
        ref reply => panic!("{reply:?}"),
    }
}

#[test]
fn a_due_schedule_is_told_once() {
    let mut world = with(Overlap::Skip, CatchUp::None);
    let due_at = due(&world);
    assert_eq!(world.machine.next_deadline().wall, Some(due_at));
    assert!(world.pass(HOUR - 1).is_empty());
    let steps = world.pass(1);
    assert_eq!(steps[0].effects, [Effect::ScheduleDue { schedule: ID, due_at }]);
    assert_eq!(steps[0].events, []);
    assert!(world.pass(10 * HOUR).is_empty());
    let command = fire(&mut world, false);
    let id = fired(&world.must(command)).expect("a task");
    assert!(world.is_queued(id));
    assert_eq!(world.machine.next_deadline().wall, Some(due_at.after(HOUR)));
}

#[test]
fn an_occurrence_is_handled_once() {
    let mut world = with(Overlap::Queue, CatchUp::None);
    let command = fire(&mut world, false);
    world.must(command.clone());
    let again = world.must(command);
    assert_eq!((fired(&again), again.events.len()), (None, 0));
}

#[test]
fn a_missed_occurrence_is_passed_over_or_made_up_for() {
    for (catch_up, made) in [(CatchUp::None, false), (CatchUp::One, true)] {
        let mut world = with(Overlap::Skip, catch_up);
        let command = fire(&mut world, true);
        let step = world.must(command);
        assert_eq!(fired(&step).is_some(), made);
        assert!(matches!(step.events.last().unwrap().kind, EventKind::ScheduleFired { .. }));
    }
}

#[test]
fn an_occurrence_while_the_last_task_lives_is_skipped_queued_or_takes_its_place() {
    for overlap in [Overlap::Skip, Overlap::Queue, Overlap::Cancel] {
        let mut world = with(overlap, CatchUp::None);
        let command = fire(&mut world, false);
        let first = fired(&world.must(command)).expect("a task");
        let command = fire(&mut world, false);
        let second = fired(&world.must(command));
        match overlap {
            Overlap::Skip => assert_eq!((second, world.is_queued(first)), (None, true)),
            Overlap::Queue => assert!(world.is_queued(first) && world.is_queued(second.unwrap())),
            Overlap::Cancel => {
                assert_eq!(world.outcome(first), Outcome::Cancelled(CancelReason::Schedule));
                assert!(world.is_queued(second.unwrap()));
            }
        }
        let command = fire(&mut world, false);
        world.must(command);
    }
}

#[test]
fn a_task_that_is_over_overlaps_nothing() {
    let mut world = with(Overlap::Skip, CatchUp::None);
    let command = fire(&mut world, false);
    let first = fired(&world.must(command)).expect("a task");
    world.must(Command::Cancel { task: first, reason: CancelReason::Requested(None), by: actor() });
    let command = fire(&mut world, false);
    assert!(fired(&world.must(command)).is_some());
}

#[test]
fn an_occurrence_whose_task_is_refused_comes_due_again() {
    let mut world = World::with(Policy { max_queued: 1, ..Policy::default() });
    let blocker = world.submit_one(|_| {});
    let next_at = world.now.wall.after(HOUR);
    let (overlap, catch_up) = (Overlap::Queue, CatchUp::None);
    let schedule =
        Schedule { id: ID, name: None, group: name("default"), overlap, catch_up, next_at, last_task: None };
    world.must(Command::AddSchedule { schedule: Box::new(schedule), by: actor() });
    world.pass(HOUR);
    let command = fire(&mut world, false);
    assert_eq!(world.give(command), Err(Rejection::QueueFull { limit: 1, group: None }));
    assert!(world.pass(9_999).is_empty());
    let steps = world.pass(1);
    assert_eq!(steps[0].effects, [Effect::ScheduleDue { schedule: ID, due_at: next_at }]);
    world.must(Command::Cancel { task: blocker, reason: CancelReason::Requested(None), by: actor() });
    let command = fire(&mut world, false);
    assert!(fired(&world.must(command)).is_some());
}

#[test]
fn a_next_instant_that_lies_back_makes_no_storm() {
    let mut world = with(Overlap::Queue, CatchUp::None);
    let due_at = due(&world);
    let task = Box::new(world.task());
    let next_at = Wall(0);
    world.must(Command::FireSchedule {
        schedule: ID,
        due_at,
        next_at,
        missed: false,
        task,
        webhook: false,
        secrets: Box::default(),
        budget: Limit::default(),
        by: actor(),
    });
    assert!(due(&world) > due_at);
}

#[test]
fn a_removed_schedule_comes_due_no_more() {
    let mut world = with(Overlap::Skip, CatchUp::None);
    let command = fire(&mut world, false);
    world.must(Command::RemoveSchedule { schedule: ID, by: actor() });
    assert_eq!(world.machine.next_deadline().wall, None);
    assert_eq!(world.give(command), Err(Rejection::UnknownSchedule(ID)));
    let remove = Command::RemoveSchedule { schedule: ID, by: actor() };
    assert_eq!(world.give(remove), Err(Rejection::UnknownSchedule(ID)));
}

#[test]
fn a_restart_tells_again_of_what_was_not_handled() {
    let mut world = with(Overlap::Skip, CatchUp::None);
    let due_at = due(&world);
    world.pass(HOUR);
    world.restart();
    let steps = world.take_up();
    assert_eq!(steps[0].effects, [Effect::ScheduleDue { schedule: ID, due_at }]);
}

#[test]
fn only_so_many_schedules_are_kept_and_one_may_be_changed() {
    let mut world = World::with(Policy { max_schedules: 1, ..Policy::default() });
    let schedule = |id, at| Schedule {
        id: ScheduleId(id),
        name: None,
        group: name("default"),
        overlap: Overlap::Skip,
        catch_up: CatchUp::None,
        next_at: Wall(at),
        last_task: None,
    };
    let add = |id, at| Command::AddSchedule { schedule: Box::new(schedule(id, at)), by: actor() };
    world.must(add(1, 2_000_000_000_000));
    assert_eq!(world.give(add(2, 0)), Err(Rejection::TooManySchedules));
    world.must(add(1, 2_100_000_000_000));
    assert_eq!(world.machine.next_deadline().wall, Some(Wall(2_100_000_000_000)));
}
