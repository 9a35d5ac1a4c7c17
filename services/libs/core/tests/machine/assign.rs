//! Who gets what, in which order.

use conductor_core::*;

use crate::world::*;

#[test]
fn an_assignment_takes_a_credit() {
    let mut world = World::new();
    for _ in 0..3 {
        world.submit_one(|_| {});
    }
    world.join(ADA, 2);
    assert_eq!(world.assign().len(), 2);
    assert_eq!(world.assign().len(), 0);
    assert_eq!(world.machine.agent(ADA).unwrap().credits, 0);
}

#[test]
fn higher_priority_goes_first_and_older_first_within_one() {
    let mut world = World::new();
    let low = world.submit_one(|task| task.priority = Priority::new(1).unwrap());
    let old = world.submit_one(|_| {});
    let new = world.submit_one(|_| {});
    let high = world.submit_one(|task| task.priority = Priority::new(10).unwrap());
    world.join(ADA, 4);
    let order: Vec<_> = world.assign().into_iter().map(|(_, task, _)| task).collect();
    assert_eq!(order, [high, old, new, low]);
}
