//! The locked builder root, made of packages that are made here: what runs inside sees that root, and no
//! other.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use recipe::builder::Builder;
use recipe::builder::Mount;
use support::Place;
use support::executable;
use support::member;
use support::script;
use support::tools;

/// Set for the process that [`nobody_has_to_be_root`] starts.
const AS_NOBODY: &str = "RAMSTRAP_TEST_BUILDER_AS_NOBODY";

const LIST: &str = "packages = [\"tools\"]\n[distribution]\nsuites = [\"stable\"]\n\
    [[entry]]\npath = \"/usr/bin/also-cc\"\nlink = \"cc\"\n";

/// A place whose `ospkg/` has a builder.
fn place() -> Place {
    let place = Place::new();
    place.write("ospkg/builder.toml", LIST);
    lock(&place, &tools());
    place
}

fn lock(place: &Place, deb: &[u8]) {
    fs::write(place.path("archive/pool/tools.deb"), deb).unwrap();
    let text = format!(
        "version = 1\nsource_date_epoch = 1\narchitecture = \"amd64\"\npackages = [\"tools\"]\n\
         without = []\n[[suite]]\nname = \"stable\"\ndate = \"\"\nrelease_sha256 = \"\"\n\
         [[package]]\nname = \"tools\"\nversion = \"1\"\narchitecture = \"all\"\n\
         source = \"tools\"\nsuite = \"stable\"\npath = \"pool/tools.deb\"\nsize = {}\n\
         sha256 = \"{}\"\n",
        deb.len(),
        rebuild::sha256(deb)
    );
    place.write("ospkg/builder.lock", &text);
}

/// The builder; none where this machine forbids it.
fn open(place: &Place) -> Option<Builder> {
    match Builder::open(&place.path("ospkg"), &place.options().debs, &place.path("cache"), &|_| ())
    {
        Ok(builder) => Some(builder),
        Err(error) if error.to_string().contains("does not let us enter") => {
            assert!(error.remedy_text().unwrap().contains("user namespaces"));
            eprintln!("SKIPPED: {error}: {:?}", error.details());
            None
        }
        Err(error) => panic!("{error}: {:?}", error.details()),
    }
}

/// What a script inside prints.
fn run(builder: &Builder, mounts: &[Mount], text: &str) -> String {
    let mut command = builder.command(mounts, "/", "sh");
    let output = command.args(["-c", text]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_runs_inside_sees_the_root_and_no_other() {
    let place = place();
    let Some(builder) = open(&place) else { return };
    inside(&place, &builder);
}

fn inside(place: &Place, builder: &Builder) {
    for name in ["in", "out"] {
        fs::create_dir_all(place.path(name)).unwrap();
    }
    fs::write(place.path("in/file"), "given").unwrap();
    let mounts = [
        Mount::read_only(&place.path("in"), "/work/in"),
        Mount::writable(&place.path("out"), "/out"),
        Mount::read_only(&place.path("in/file"), "/work/file"),
    ];
    let run = |text: &str| run(builder, &mounts, text);
    // The root's compiler, not this machine's, which knows more than to copy a file.
    run("cc /out/a && also-cc /out/b");
    for name in ["out/a", "out/b"] {
        assert_eq!(fs::read_to_string(place.path(name)).unwrap(), "the root's\n");
    }
    assert_eq!(run("command -v cc"), "/usr/bin/cc\n");
    // Nothing of this machine but what is named.
    let here = place.dir.path().display();
    assert_eq!(
        run(&format!(
            "for it in /usr/bin/id /etc/passwd /home '{here}'; do [ ! -e \"$it\" ] || echo $it; done"
        )),
        ""
    );
    assert_eq!(run("cat /work/in/file /work/file"), "givengiven");
    assert_eq!(run("echo $PATH $LC_ALL $TZ; umask").lines().last(), Some("0022"));
    // No network: not one route, below the heading.
    assert!(run("cat /proc/net/route").lines().count() <= 1);
    // Nothing can be changed but results.
    let refused =
        "for it in /usr/bin/x /etc/x /work/in/x; do ! (echo >$it) 2>/dev/null || echo $it; done";
    assert_eq!(run(refused), "");
    run("echo >/tmp/x; echo ok >/out/c");
    assert!(place.path("out/c").is_file() && !place.path("cache").join("tmp").exists());
    // The end of what ran is told.
    let mut command = builder.command(&mounts, "/work", "sh");
    assert_eq!(command.args(["-c", "exit 7"]).status().unwrap().code(), Some(7));
}

#[test]
fn nothing_of_the_callers_environment_gets_in() {
    let place = place();
    let Some(builder) = open(&place) else { return };
    let command = builder.command(&[], "/", "env");
    let names: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, ["HOME", "LC_ALL", "PATH", "TZ"]);
}

/// Runs [`inside`] once more as somebody who may do nothing.
#[test]
fn nobody_has_to_be_root() {
    let place = place();
    if env::var_os(AS_NOBODY).is_some() {
        if let Some(builder) = open(&place) {
            inside(&place, &builder);
            println!("seen as nobody");
        }
        return;
    }
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !root {
        eprintln!("SKIPPED: as another user, which takes root; this one is none already");
        return;
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("test");
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    executable(&copy);
    let all = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    };
    all(elsewhere.path());
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["--exact", "nobody_has_to_be_root", "--nocapture"])
        .env(AS_NOBODY, "1")
        .env("TMPDIR", elsewhere.path())
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("seen as nobody") || said.contains("SKIPPED"), "{said}");
}

#[test]
fn a_root_that_was_changed_is_made_anew() {
    let place = place();
    let Some(builder) = open(&place) else { return };
    let file = builder.root().join("etc/whose");
    fs::write(&file, "somebody else's\n").unwrap();
    assert_eq!(run(&builder, &[], "cat /etc/whose"), "somebody else's\n");
    let again = open(&place).unwrap();
    assert_eq!(run(&again, &[], "cat /etc/whose"), "the root's\n");
    assert_eq!(again.record(), builder.record());
    // Another lock, another root.
    lock(&place, &support::deb(&[(support::FILE, "./etc/whose", 0o644, "another\n")]));
    let other = open(&place).unwrap();
    assert_ne!(other.record().lock_sha256, builder.record().lock_sha256);
    assert_ne!(other.root(), builder.root());
}

#[test]
fn what_is_wrong_with_the_lock_is_named() {
    let place = place();
    if open(&place).is_none() {
        return;
    }
    let refused = || {
        let (ospkg, debs) = (place.path("ospkg"), place.options().debs);
        let error = Builder::open(&ospkg, &debs, &place.path("cache"), &|_| ()).unwrap_err();
        format!("{error} {:?} {:?}", error.details(), error.remedy_text())
    };
    place.write("ospkg/builder.toml", &LIST.replace("\"tools\"", "\"tools\", \"gcc\""));
    let text = refused();
    assert!(text.contains("builder.lock: it is older than") && text.contains("+gcc"), "{text}");
    assert!(text.contains("`cargo xtask ospkg lock builder` makes it anew"), "{text}");
    place.write("ospkg/builder.toml", LIST);
    let mut bytes = tools();
    lock(&place, &bytes);
    fs::remove_dir_all(place.path("cache")).unwrap();
    fs::remove_dir_all(place.path("debs")).unwrap();
    bytes.push(0);
    fs::write(place.path("archive/pool/tools.deb"), bytes).unwrap();
    assert!(refused().contains("tools 1: what file://"));
    assert_eq!(fs::read_dir(place.path("cache")).map_or(0, Iterator::count), 0);
    fs::remove_file(place.path("ospkg/builder.lock")).unwrap();
    assert!(refused().contains("`cargo xtask ospkg lock builder` makes it"));
    let error = recipe::template::create(&place.path("ospkg"), "builder").unwrap_err();
    assert!(error.to_string().contains("no OS"), "{error}");
}

#[test]
fn hooks_run_in_the_root_and_the_package_says_so() {
    let place = place();
    let Some(builder) = open(&place) else { return };
    let hook = "#!/bin/sh\nset -eu\ncc \"$PWD/etc/made\"\ncat \"$RECIPE/recipe.toml\" >/dev/null\n";
    script(&place.path("ospkg/os/hooks/10-test"), hook);
    let mut options = place.options();
    options.keep_inputs = Some(place.path("kept"));
    let record = builder.record();
    let host = support::TestHost { builder: Some(builder), ..place.host() };
    let built = recipe::build(&options, &host).unwrap();
    let lines = support::listing(&built.names.archive);
    let made = lines.iter().any(|it| it == "etc/made 100644 0 1700000000 the root's\n");
    assert!(made, "{lines:#?}");
    let found = rebuild::build::BuildRecord::parse(&member(&built.names.archive, "build.json"));
    let found = found.unwrap();
    assert_eq!(found.builder, Some(record));
    let debs: Vec<_> = found.inputs_of(recipe::builder::KIND).collect();
    assert!(place.path("kept/sha256").join(&debs.first().unwrap().sha256).is_file());
    // Twice the same; and from kept inputs alone.
    let first = fs::read(&built.names.archive).unwrap();
    fs::remove_dir_all(place.path("archive")).unwrap();
    for name in ["cache", "debs", "out"] {
        fs::remove_dir_all(place.path(name)).unwrap();
    }
    options.debs.inputs =
        Some(rebuild::store::Origin::parse(place.path("kept").to_str().unwrap()).unwrap());
    let cache = place.path("cache");
    let builder = Builder::open(&place.path("ospkg"), &options.debs, &cache, &|_| ()).unwrap();
    let host = support::TestHost { builder: Some(builder), ..place.host() };
    let again = recipe::build(&options, &host).unwrap();
    assert!(fs::read(&again.names.archive).unwrap() == first);
}
