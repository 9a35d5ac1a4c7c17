//! Tokens and sessions.

use conductor_core::*;

use crate::world::*;

const HOUR: u64 = 3_600_000;

pub fn token(world: &World, called: &str, number: u8, lives_ms: Option<u64>) -> Box<Token> {
    Box::new(Token {
        name: name(called),
        role: Role::Viewer,
        groups: Groups::Only(names(&["red"])),
        digest: SecretDigest([number; 32]),
        created_at: world.now.wall,
        created_by: name("tester"),
        expires_at: lives_ms.map(|ms| world.now.wall.after(ms)),
    })
}

pub fn session(world: &World, number: u8, token: u8, lives_ms: u64) -> LoginSession {
    LoginSession {
        digest: SecretDigest([number; 32]),
        token: SecretDigest([token; 32]),
        created_at: world.now.wall,
        expires_at: world.now.wall.after(lives_ms),
    }
}

fn create(world: &mut World, called: &str, number: u8, lives_ms: Option<u64>) -> Result<Step, Rejection> {
    let token = token(world, called, number, lives_ms);
    world.give(Command::CreateToken { token, by: actor() })
}

fn open(world: &mut World, number: u8, token: u8) -> Step {
    let session = session(world, number, token, 24 * HOUR);
    world.must(Command::OpenSession { session, by: actor() })
}

fn is_open(world: &World, number: u8) -> bool {
    world.machine.state().login_session(SecretDigest([number; 32])).is_some()
}

#[test]
fn a_name_and_a_secret_belong_to_one_living_token() {
    let mut world = World::new();
    create(&mut world, "ci", 1, None).expect("the first");
    assert_eq!(create(&mut world, "ci", 2, None), Err(Rejection::TokenExists(name("ci"))));
    assert_eq!(create(&mut world, "other", 1, None), Err(Rejection::TokenExists(name("other"))));
    world.must(Command::RevokeToken { name: name("ci"), by: actor() });
    assert_eq!(world.machine.state().token_of(SecretDigest([1; 32])), None);
    create(&mut world, "ci", 1, None).expect("both are free again");
}

#[test]
fn revoking_a_token_ends_the_sessions_that_it_opened_and_no_others() {
    let mut world = World::new();
    create(&mut world, "ci", 1, None).expect("made");
    open(&mut world, 11, 1);
    open(&mut world, 12, 1);
    // Opened by a token that the log does not hold, such as the home's own.
    open(&mut world, 13, 9);
    world.must(Command::RevokeToken { name: name("ci"), by: actor() });
    assert_eq!([11, 12, 13].map(|number| is_open(&world, number)), [false, false, true]);
    let again = world.give(Command::RevokeToken { name: name("ci"), by: actor() });
    assert_eq!(again, Err(Rejection::UnknownToken(name("ci"))));
}

#[test]
fn tokens_and_sessions_go_when_their_time_is_over() {
    let mut world = World::new();
    create(&mut world, "ci", 1, Some(HOUR)).expect("made");
    open(&mut world, 11, 1);
    open(&mut world, 12, 9);
    world.pass(HOUR - 1);
    assert!(world.machine.state().token(&name("ci")).is_some() && is_open(&world, 11));
    world.pass(1);
    assert!(world.machine.state().token(&name("ci")).is_none() && !is_open(&world, 11));
    world.restart();
    assert!(is_open(&world, 12), "sessions outlast a restart");
    world.pass(23 * HOUR);
    assert!(!is_open(&world, 12));
    assert_eq!(world.machine.next_deadline().wall, None, "nothing stays armed");
}

#[test]
fn the_oldest_session_makes_room_and_a_token_does_not() {
    let mut world = World::with(Policy { max_tokens: 1, max_sessions: 2, ..Policy::default() });
    for number in [11, 12, 13] {
        open(&mut world, number, 9);
        world.pass(1_000);
    }
    assert_eq!([11, 12, 13].map(|number| is_open(&world, number)), [false, true, true]);
    create(&mut world, "ci", 1, None).expect("the first");
    assert_eq!(create(&mut world, "more", 2, None), Err(Rejection::TooManyTokens { limit: 1 }));
}

#[test]
fn a_session_is_closed_once_and_closing_it_again_says_nothing() {
    let mut world = World::new();
    open(&mut world, 11, 9);
    let close = |world: &mut World| {
        world.must(Command::CloseSession { session: SecretDigest([11; 32]), by: actor() }).events.len()
    };
    assert_eq!((close(&mut world), close(&mut world)), (1, 0));
    assert_eq!(world.machine.next_deadline().wall, None);
}
