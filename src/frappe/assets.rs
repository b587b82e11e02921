//! The step `assets`: the bundles that browsers load, linked from the image or built.
//!
//! A link on the volume points into the image, so it suits every container whose image has baked its bundles. Each replica
//! looks at it before it serves; that costs one system call.

use std::fs;
use std::io;
use std::path::Path;

use super::call::Call;
use super::files;
use super::settings::Assets;
use super::stage::Stage;
use super::trouble::Trouble;

/// What is to be done, as far as the bench tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Deed {
    Link,
    Build,
    Nothing,
}

/// `is_baked`: whether the image has bundles.
pub(super) fn deed(assets: Assets, is_baked: bool) -> Deed {
    match (assets, is_baked) {
        (Assets::Skip, _) | (Assets::LinkOrSkip, false) => Deed::Nothing,
        (Assets::Build, _) | (Assets::Auto, false) => Deed::Build,
        (Assets::Link, _) | (Assets::Auto | Assets::LinkOrSkip, true) => Deed::Link,
    }
}

/// Where the image has its bundles.
fn baked(bench: &Path) -> std::path::PathBuf {
    bench.join("assets")
}

pub(super) fn is_baked(bench: &Path) -> bool {
    baked(bench).is_dir()
}

pub(super) fn perform(stage: &Stage) -> Result<(), Trouble> {
    let (bench, echo) = (&stage.bench, stage.echo());
    let changed = match deed(stage.settings.assets, is_baked(bench.root())) {
        Deed::Nothing => {
            echo.note("assets are left as they are");
            return Ok(());
        }
        Deed::Link => link(bench.root(), bench.sites()).map_err(|error| {
            let text = format!("{} cannot be linked: {error}", bench.sites().join("assets").display());
            // An image does not change by waiting.
            if error.kind() == io::ErrorKind::NotFound { Trouble::ForGood(text) } else { Trouble::Failed(text) }
        })?,
        Deed::Build => build(stage)?,
    };
    if let Some(what) = changed {
        echo.note(&what);
    }
    // The same link leads to other bundles in another image.
    stage.servers().forget_assets(|text| echo.note(text))
}

/// `sites/assets` is a link to the image's bundles, made in one step. `None`: it was already.
fn link(bench: &Path, sites: &Path) -> io::Result<Option<String>> {
    let (path, target) = (sites.join("assets"), baked(bench));
    if !target.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("the image has no {}", target.display())));
    }
    if fs::read_link(&path).is_ok_and(|found| found == target) {
        return Ok(None);
    }
    let mut text = format!("{} links to {}", path.display(), target.display());
    if fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
        let aside = files::first_free(|number| path.with_extension(format!("before-{}", number + 1)));
        match fs::rename(&path, &aside) {
            Ok(()) => text = format!("{text}; the directory that was there is {} now", aside.display()),
            // Another replica was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    files::replace_link(&path, &target)?;
    Ok(Some(text))
}

fn build(stage: &Stage) -> Result<Option<String>, Trouble> {
    let path = stage.bench.sites().join("assets");
    // A build writes through a link, into what another image has baked.
    if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
        fs::remove_file(&path).map_err(|error| Trouble::of_file(&path, &error))?;
    }
    fs::create_dir_all(&path).map_err(|error| Trouble::of_file(&path, &error))?;
    stage.run(&build_call(), &stage.echo())?;
    Ok(Some("assets built".to_owned()))
}

pub(super) fn build_call() -> Call {
    Call::new(&["build", "--production"])
}

/// What every replica does before it serves: a link that leads nowhere in this container, or is not there, is made to lead into
/// its image. A directory, or a link to something that is there, is somebody's decision. Says what it has done, or could not.
pub(super) fn localize(assets: Assets, bench: &Path, sites: &Path) -> Option<String> {
    if deed(assets, is_baked(bench)) != Deed::Link || sites.join("assets").is_dir() {
        return None;
    }
    let (path, target) = (sites.join("assets"), baked(bench));
    link(bench, sites).unwrap_or_else(|error| {
        Some(format!(
            "{} does not lead to this image's {} and cannot be made to ({error}): styles and scripts may be missing",
            path.display(),
            target.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_and_what_is_baked_decide() {
        let table = [
            (Assets::Auto, Deed::Build, Deed::Link),
            (Assets::Link, Deed::Link, Deed::Link),
            (Assets::Build, Deed::Build, Deed::Build),
            (Assets::Skip, Deed::Nothing, Deed::Nothing),
            (Assets::LinkOrSkip, Deed::Nothing, Deed::Link),
        ];
        for (assets, plain, with_baked) in table {
            assert_eq!((deed(assets, false), deed(assets, true)), (plain, with_baked), "{assets:?}");
        }
    }

    #[test]
    fn a_directory_is_moved_aside_and_a_link_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let (bench, sites) = (dir.path(), dir.path().join("sites"));
        fs::create_dir_all(sites.join("assets/old")).unwrap();
        assert!(link(bench, &sites).unwrap_err().to_string().contains("the image has no"));
        fs::create_dir(bench.join("assets")).unwrap();
        assert!(link(bench, &sites).unwrap().unwrap().contains("assets.before-1"));
        assert_eq!(fs::read_link(sites.join("assets")).unwrap(), bench.join("assets"));
        assert!(sites.join("assets.before-1/old").is_dir());
        assert_eq!(link(bench, &sites).unwrap(), None);
        // A link of another image is replaced.
        fs::remove_file(sites.join("assets")).unwrap();
        std::os::unix::fs::symlink("/elsewhere", sites.join("assets")).unwrap();
        assert!(localize(Assets::Auto, bench, &sites).unwrap().contains("links to"));
        assert_eq!(fs::read_link(sites.join("assets")).unwrap(), bench.join("assets"));
        assert_eq!(localize(Assets::Auto, bench, &sites), None);
        assert_eq!(localize(Assets::Skip, Path::new("/nowhere"), Path::new("/nowhere")), None);
        assert!(
            localize(Assets::Link, Path::new("/nowhere"), Path::new("/nowhere")).unwrap().contains("cannot be made")
        );
    }

    #[test]
    fn before_a_hand_off_nothing_that_is_there_is_moved() {
        let dir = tempfile::tempdir().unwrap();
        let (bench, sites) = (dir.path(), dir.path().join("sites"));
        fs::create_dir(bench.join("assets")).unwrap();
        fs::create_dir_all(sites.join("assets/built")).unwrap();
        assert_eq!(localize(Assets::Auto, bench, &sites), None);
        assert!(sites.join("assets/built").is_dir());
        fs::rename(sites.join("assets"), bench.join("mine")).unwrap();
        std::os::unix::fs::symlink(bench.join("mine"), sites.join("assets")).unwrap();
        assert_eq!(localize(Assets::Auto, bench, &sites), None);
        assert_eq!(fs::read_link(sites.join("assets")).unwrap(), bench.join("mine"));
    }
}
