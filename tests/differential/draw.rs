//! Operations by chance, of which each comes to something.

use crate::chance::Chance;

/// One of them, each as often as it says.
pub(crate) fn draw<T: Copy>(chance: &mut Chance, odds: &[(T, u64)]) -> T {
    let mut left = chance.below(odds.iter().map(|(_, odds)| odds).sum());
    for &(drawn, odds) in odds {
        match left.checked_sub(odds) {
            None => return drawn,
            Some(beyond) => left = beyond,
        }
    }
    unreachable!("less than all of them")
}

/// Scenes until there are so many operations, each played before the next is drawn, so that it finds somebody who can do it.
pub(crate) fn draw_story<S: Default, T>(
    seed: u64,
    length: usize,
    scene: impl Fn(&mut Chance, &S) -> Vec<T>,
    play: impl Fn(&mut S, &T),
) -> Vec<T> {
    let (mut chance, mut stage) = (Chance::new(seed), S::default());
    let mut operations = Vec::new();
    while operations.len() < length {
        for operation in scene(&mut chance, &stage) {
            play(&mut stage, &operation);
            operations.push(operation);
        }
    }
    operations
}

/// So many are looked at for an operation that comes to what is wanted.
const TRIES: usize = 24;

/// An operation drawn by `any` that comes to what is wanted; or one that does after what prepares it. Nothing, if nobody
/// can.
pub(crate) fn find_scene<T: Copy>(
    chance: &mut Chance,
    any: impl Fn(&mut Chance) -> T,
    prepare: impl Fn(T) -> Option<T>,
    is_wanted: impl Fn(&[T]) -> bool,
) -> Vec<T> {
    let is_wanted = |scene: &Vec<T>| is_wanted(scene);
    let alone = (0..TRIES).map(|_| vec![any(chance)]).find(is_wanted);
    let prepared = || {
        let scenes = (0..TRIES).map(|_| any(chance)).filter_map(|operation| Some(vec![prepare(operation)?, operation]));
        scenes.into_iter().find(is_wanted)
    };
    alone.or_else(prepared).unwrap_or_default()
}

#[test]
fn each_is_drawn_as_often_as_it_says() {
    let mut chance = Chance::new(1);
    let drawn: Vec<char> = (0..4_000).map(|_| draw(&mut chance, &[('a', 1), ('b', 0), ('c', 3)])).collect();
    let count = |of: char| drawn.iter().filter(|&&drawn| drawn == of).count();
    assert!((900..1_100).contains(&count('a')) && count('b') == 0, "{} {}", count('a'), count('b'));
}

#[test]
fn what_nobody_can_do_is_prepared() {
    let mut chance = Chance::new(1);
    let any = |chance: &mut Chance| chance.below(10);
    let is_wanted = |scene: &[u64]| scene[scene.len() - 1] == 7 && (scene.len() == 1 || scene[0] == 6);
    assert_eq!(find_scene(&mut chance, any, |_| None, is_wanted), [7]);
    let is_prepared = |scene: &[u64]| scene.len() == 2 && is_wanted(scene);
    assert_eq!(find_scene(&mut chance, any, |number| number.checked_sub(1), is_prepared), [6, 7]);
    assert_eq!(find_scene(&mut chance, any, |_| None, is_prepared), [0; 0]);
}
