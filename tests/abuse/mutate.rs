//! Input that is nearly right, as people, crashes and other programs make it.

use crate::chance::Chance;

/// Bytes that mean something to one of the parsers, and some that none of them likes.
const BYTES: &[u8] = b"\0\n\r\t \"%,/:;=@[]{}-._\\?#&+0129azAZ\x1b\x7f\x80\xc3\xff*$_~>(";

/// `seed` with a few changes; now and then something else altogether.
pub(crate) fn mutated(chance: &mut Chance, seed: &[u8], words: &[&[u8]]) -> Vec<u8> {
    if chance.one_in(16) {
        return (0..chance.below(64)).map(|_| byte(chance)).collect();
    }
    let mut input = seed.to_vec();
    for _ in 0..=chance.below(4) {
        change(chance, &mut input, words);
    }
    input
}

fn change(chance: &mut Chance, input: &mut Vec<u8>, words: &[&[u8]]) {
    let (from, to) = stretch(chance, input.len());
    match chance.below(8) {
        0 if from < input.len() => input[from] ^= 1 << chance.below(8),
        1 if from < input.len() => input[from] = byte(chance),
        2 => input.insert(from, byte(chance)),
        3 => drop(input.drain(from..to)),
        4 => input.truncate(from),
        5 => {
            let twice = input[from..to].to_vec();
            input.splice(from..from, twice);
        }
        6 => drop(input.splice(from..to, chance.of(words).iter().copied())),
        _ => drop(input.splice(from..from, chance.of(words).iter().copied())),
    }
    // Something long, rarely: all of it has to be looked at.
    if chance.one_in(64) {
        let filler = byte(chance);
        let length = usize::try_from(chance.below(100_000)).unwrap();
        input.splice(from.min(input.len())..from.min(input.len()), std::iter::repeat_n(filler, length));
    }
}

/// A short stretch of so many bytes; empty at their end.
fn stretch(chance: &mut Chance, length: usize) -> (usize, usize) {
    let from = usize::try_from(chance.below(length as u64 + 1)).unwrap();
    let to = from + usize::try_from(chance.below(20)).unwrap();
    (from, to.min(length))
}

fn byte(chance: &mut Chance) -> u8 {
    if chance.one_in(4) { u8::try_from(chance.below(256)).unwrap() } else { chance.of(BYTES) }
}
