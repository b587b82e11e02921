//! What comes out of the Dockerfile.

use crate::docker::{build, docker};

#[test]
fn an_empty_revision_fails_the_build() {
    let said = docker(&["build", "--build-arg", "IMAGE_REV=", "."]);
    assert_ne!(said.code, Some(0));
    assert!(said.all().contains("IMAGE_REV is empty"), "{}", said.all());
}

#[test]
fn without_a_revision_an_image_says_so_and_starts_nothing() {
    let image = build("frappe", &[]);
    let said = docker(&["run", "--rm", &image]);
    assert_eq!(said.code, Some(64), "{}", said.all());
    assert!(said.all().contains("IMAGE_REV"), "{}", said.all());
}
