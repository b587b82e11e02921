//! Which calls of which scenes are struck, and what was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use crate::boot;
use crate::cage::TOLD;
use crate::points::{Call, Point, Role};
use crate::pool::{each, extent, is_whole};
use crate::scene::{Scene, Stage};
use crate::trace::{Blow, Strike, watch};
use crate::wait::wait_until;

/// Most of them wait for a dead leader to grow stale.
const SIDE_BY_SIDE: usize = 12;

/// A strike in a scene.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) scene: Scene,
    pub(crate) strike: Strike,
}

impl Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.scene, self.strike)
    }
}

/// A thread in a scene.
struct Part(Scene, Role);

impl Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}, unstruck", self.1, self.0)
    }
}

fn points_of(&Part(scene, role): &Part, kinds: &[&'static str]) -> Vec<(Scene, Point)> {
    let stage = Stage::set(scene);
    let mut traced = watch(&stage.stack, boot::launch(&stage.stack), role, kinds);
    let mut told = false;
    wait_until("an end", || {
        stage.meddle(&mut traced.replica, &mut told);
        !traced.replica.is_running()
    });
    traced.wait();
    stage.assert_unstruck(&mut traced);
    let points = traced.points_of_thread(role, kinds, stage.stack.volume());
    assert!(points.len() >= 2, "{role:?} of {scene:?} makes no calls: {points:?}");
    points.into_iter().map(|point| (scene, point)).collect()
}

/// What these threads do in boots that nothing strikes.
pub(crate) fn points(scenes: &[Scene], roles: &[Role], kinds: &[&'static str]) -> Vec<(Scene, Point)> {
    let parts: Vec<Part> = scenes.iter().flat_map(|&scene| roles.iter().map(move |&role| Part(scene, role))).collect();
    each(SIDE_BY_SIDE, &parts, |part| points_of(part, kinds)).into_iter().flatten().collect()
}

/// All points; or, in a short run, of one in `part` of the different calls of all scenes a point each, now an early one and
/// now a late one; and those with which a thread begins.
pub(crate) fn sample(points: &[(Scene, Point)], part: usize) -> Vec<(Scene, Point)> {
    if is_whole() {
        return points.to_vec();
    }
    let mut of_call: BTreeMap<(Scene, &Call), Vec<&Point>> = BTreeMap::new();
    for (scene, point) in points {
        of_call.entry((*scene, &point.call)).or_default().push(point);
    }
    let chosen = of_call.into_iter().step_by(part).enumerate();
    let chosen = chosen.map(|(number, ((scene, _), points))| (scene, points[number % points.len()].clone()));
    let first = points.iter().filter(|(_, point)| point.nth == 0).cloned();
    first.chain(chosen.filter(|(_, point)| point.nth > 0)).collect()
}

/// Both deaths at each; in a short run one after the other.
pub(crate) fn deaths(points: &[(Scene, Point)]) -> Vec<Case> {
    let blows = [Blow::DeathBefore, Blow::DeathAfter];
    let of = |(number, (scene, point)): (usize, &(Scene, Point))| -> Vec<Case> {
        let chosen = if is_whole() { &blows[..] } else { &blows[number % 2..][..1] };
        chosen.iter().map(|&blow| Case { scene: *scene, strike: Strike(point.clone(), blow) }).collect()
    };
    points.iter().enumerate().flat_map(of).collect()
}

/// What a call of this kind may say when the disk or the connection to it is in trouble.
fn errors(kind: &str) -> &'static [&'static str] {
    match kind {
        "openat" | "write" | "pwrite64" => &["EIO", "ENOSPC", "EROFS", "EINTR"],
        "mkdir" | "mkdirat" | "link" | "linkat" | "rename" | "renameat" | "renameat2" => &["EIO", "ENOSPC", "EROFS"],
        "fsync" | "fdatasync" | "ftruncate" => &["EIO", "ENOSPC", "EINTR"],
        "flock" => &["ENOLCK", "EINTR"],
        "unlink" | "unlinkat" | "fchmod" | "fchown" | "utimensat" => &["EIO", "EROFS"],
        "read" => &["EIO", "EINTR"],
        "wait4" | "waitid" => &["EINTR"],
        "clone" | "clone3" | "vfork" => &["EAGAIN"],
        "execve" => &["EIO", "ENOENT"],
        "socketpair" | "pipe2" | "socket" => &["EMFILE"],
        "connect" => &["ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH"],
        "sendto" | "writev" => &["EPIPE", "ECONNRESET", "EINTR"],
        "recvfrom" => &["ECONNRESET", "ETIMEDOUT", "EINTR"],
        _ => &["EIO"],
    }
}

/// In a short run each point has one error, the one that its kind of call was least struck with: by its number alone a point
/// would be tied to an error, as it is to the sample. A thread's very first call is left room: the thread is begun anew for
/// each look, would find none again and again, and a full volume is waited for, for ever.
pub(crate) fn failures(points: &[(Scene, Point)]) -> Vec<Case> {
    let mut struck: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut cases = Vec::new();
    for (scene, point) in points {
        let kind = point.call.kind;
        let mut names: Vec<_> =
            errors(kind).iter().filter(|&&name| name != "ENOSPC" || point.nth > 0).copied().collect();
        names.sort_by_key(|&name| struck.get(&(kind, name)));
        names.truncate(if is_whole() { names.len() } else { 1 });
        for name in names {
            *struck.entry((kind, name)).or_default() += 1;
            cases.push(Case { scene: *scene, strike: Strike(point.clone(), Blow::Error(name)) });
        }
    }
    assert_every_error(&cases);
    cases
}

/// Each call that is struck often enough is struck with each of its errors.
fn assert_every_error(cases: &[Case]) {
    let mut of: BTreeMap<&str, Vec<Blow>> = BTreeMap::new();
    for Case { strike: Strike(point, blow), .. } in cases {
        of.entry(point.call.kind).or_default().push(*blow);
    }
    for (kind, blows) in of.iter().filter(|(kind, blows)| blows.len() > errors(kind).len()) {
        for name in errors(kind) {
            assert!(blows.contains(&Blow::Error(name)), "{kind} is never struck with {name}: {blows:?}");
        }
    }
}

/// Each of them boots under its blow; then the next replica goes on. What each has struck.
pub(crate) fn strike_all(cases: &[Case]) -> Vec<Option<Call>> {
    each(SIDE_BY_SIDE, cases, |case| {
        let stage = Stage::set(case.scene);
        let mut told = false;
        let meddle = |replica: &mut _| stage.meddle(replica, &mut told);
        let struck = case.strike.befall(&stage.stack, boot::launch(&stage.stack), meddle);
        stage.assert_goes_on();
        struck
    })
}

/// How many percent of something have to be so: what beats, looks and wake-ups make is not in every boot.
#[track_caller]
pub(crate) fn assert_most(what: &str, percent: usize, are: usize, of: usize) {
    assert!(of > 0 && are * 100 >= of * percent, "{what}: {are} of {of}");
}

/// Tells and judges what was struck, and that it was what had to be.
pub(crate) fn tell(what: &str, points: &[(Scene, Point)], part: usize, cases: &[Case], struck: &[Option<Call>]) {
    let different = |calls: &mut dyn Iterator<Item = (Scene, &Call)>| -> BTreeSet<(Scene, Call)> {
        calls.map(|(scene, call)| (scene, call.clone())).collect()
    };
    let all = different(&mut points.iter().map(|(scene, point)| (*scene, &point.call)));
    let wanted = different(&mut cases.iter().map(|case| (case.scene, &case.strike.0.call)));
    let met = cases.iter().zip(struck).filter_map(|(case, call)| Some((case.scene, call.as_ref()?)));
    let hit = different(&mut met.clone());
    let hits = met.count();
    let scenes: BTreeSet<Scene> = hit.iter().map(|(scene, _)| *scene).collect();
    println!(
        "{TOLD}{what}: {} of {} strikes have struck, at {} different calls of {} in {} scenes ({})",
        hits,
        cases.len(),
        hit.len(),
        all.len(),
        scenes.len(),
        extent(part)
    );
    let missed: Vec<_> = wanted.difference(&hit).collect();
    println!("missed: {missed:#?}");
    assert_most(what, 85, hits, cases.len());
    assert_most(&format!("{what}, calls"), 85, wanted.len() - missed.len(), wanted.len());
}
