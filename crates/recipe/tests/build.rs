//! Builds whole packages from recipes and packages that are made here.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use rebuild::source::Source;
use support::FILE;
use support::LINK;
use support::Place;
use support::RECIPE;
use support::deb;
use support::listing;
use support::member;
use support::script;
use support::tar;
use tar::EntryType;

/// Set for the process that [`the_same_bytes_whatever_the_surroundings`] starts anew.
const AGAIN: &str = "RAMSTRAP_TEST_BUILD_AGAIN";

#[test]
fn a_package_has_what_the_recipe_says() {
    let place = Place::new();
    let built = place.build().unwrap();
    let lines = listing(&built.names.archive);
    let has = |line: &str| assert!(lines.iter().any(|it| it == line), "{line}: {lines:#?}");
    has("usr/lib/a.conf 100640 0 1700000000 a");
    has("usr/bin/owned 104755 101 1700000000 #!/bin/sh\n");
    has("usr/bin/also 120777 0 1700000000 owned");
    has("lib 120777 0 1700000000 usr/lib");
    has("etc/c 100644 0 1700000000 b");
    has("init 100755 0 1700000000 #!/bin/sh\n");
    has("var/empty 40500 7 1700000000 ");
    has("tmp 41777 0 1700000000 ");
    has("dev/console 20600 0 1700000000 ");
    assert!(!lines.iter().any(|line| line.starts_with("usr/share/doc/")), "{lines:#?}");
    let mut sorted = lines.clone();
    sorted.sort_by(|one, other| one.split(' ').next().cmp(&other.split(' ').next()));
    assert_eq!(lines, sorted);
    let record = member(&built.names.archive, "build.json");
    let record = rebuild::build::BuildRecord::parse(&record).unwrap();
    assert_eq!((record.name.as_str(), record.inputs_of("deb").count()), ("os", 2));
    assert_eq!(record.source_date_epoch, 1_700_000_000);
    // The licence is not in the image, but it is in the bill of materials.
    let bill = String::from_utf8(member(&built.names.archive, "sbom.json")).unwrap();
    assert!(bill.contains("\"ISC\""), "{bill}");
    let manifest = String::from_utf8(member(&built.names.archive, "manifest.json")).unwrap();
    assert!(manifest.contains("\"cmdline\": \"quiet\""), "{manifest}");
    let numbered = recipe::Options {
        release: Some(7),
        not_after: Some("2027-06-30T00:00:00Z".parse().unwrap()),
        channel: Some("stable".parse().unwrap()),
        ..place.options()
    };
    let host = place.host();
    let built = recipe::build(&numbered, &host).unwrap();
    let manifest = String::from_utf8(member(&built.names.archive, "manifest.json")).unwrap();
    let further =
        "\"release\": 7,\n  \"not_after\": \"2027-06-30T00:00:00Z\",\n  \"channel\": \"stable\"";
    assert!(manifest.contains(further), "{manifest}");
    let record =
        rebuild::build::BuildRecord::parse(&member(&built.names.archive, "build.json")).unwrap();
    assert_eq!(record.options["not_after"], "2027-06-30T00:00:00Z");
    assert_eq!(record.options["channel"], "stable");
}

#[test]
fn the_same_bytes_whatever_the_surroundings() {
    let hook = "#!/bin/sh\nset -eu\nmkdir made\ndate -r etc/../made +%Z > made/zone\numask > made/mask\nenv | sort | grep -v ^PWD= | sed /^RECIPE=/d > made/env\nchmod 0750 made\n";
    let prepare = || {
        let place = Place::new();
        script(&place.path("ospkg/os/hooks/10-test"), hook);
        place
    };
    if let Some(out) = std::env::var_os(AGAIN) {
        let place = prepare();
        let built = place.build().unwrap();
        fs::copy(built.names.archive, out).unwrap();
        return;
    }
    let place = prepare();
    let built = place.build().unwrap();
    let first = fs::read(&built.names.archive).unwrap();
    let lines = listing(&built.names.archive);
    assert!(lines.iter().any(|it| it.starts_with("made 40750 0 ")), "{lines:#?}");
    assert!(lines.iter().any(|it| it == "made/mask 100644 0 1700000000 0022\n"), "{lines:#?}");
    assert!(lines.iter().any(|it| it == "made/zone 100644 0 1700000000 UTC\n"), "{lines:#?}");

    let elsewhere = tempfile::tempdir().unwrap();
    let out = elsewhere.path().join("again.zip");
    let test = std::env::current_exe().unwrap();
    // Another user, if this one may become one; the test's executable must be readable for it.
    let copy = elsewhere.path().join("test");
    fs::copy(test, &copy).unwrap();
    support::executable(&copy);
    let open = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    };
    open(elsewhere.path());
    let temporary = elsewhere.path().join("another-place-for-temporary-files");
    fs::create_dir(&temporary).unwrap();
    open(&temporary);
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = Command::new(if root { "setpriv" } else { "sh" });
    if root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh"]);
    } else {
        eprintln!("SKIPPED: as another user, which takes root; the rest is tested");
    }
    let status = command
        .args(["-c", "umask 077; exec \"$0\" --exact the_same_bytes_whatever_the_surroundings"])
        .arg(&copy)
        .env(AGAIN, &out)
        .env("TZ", "Pacific/Auckland")
        .env("LC_ALL", "C.UTF-8")
        .env("TMPDIR", &temporary)
        .env("HOME", "/nonexistent")
        .current_dir("/")
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
    assert!(fs::read(&out).unwrap() == first, "the second build has other bytes");

    // The comparison can fail: one more byte in one file.
    place.write("ospkg/os/files/etc/motd", "hello!\n");
    assert!(fs::read(place.build().unwrap().names.archive).unwrap() != first);
}

#[test]
fn whoever_edits_the_source_during_a_build_leaves_it_unknown() {
    let place = Place::new();
    let source = |revision: &str| Source { revision: revision.to_owned(), dirty: false };
    let dirty = |before: &str, after: &str| {
        let host = place.host();
        *host.sources.borrow_mut() = vec![source(after), source(before)];
        let built = recipe::build(&place.options(), &host).unwrap();
        let record = member(&built.names.archive, "build.json");
        rebuild::build::BuildRecord::parse(&record).unwrap().source.dirty
    };
    assert!(!dirty("a", "a"));
    assert!(dirty("a", "b"));
}

#[test]
fn other_bytes_than_the_lock_names_are_refused() {
    let place = Place::new();
    let mut bytes = fs::read(place.path("archive/pool/a.deb")).unwrap();
    bytes.push(0);
    fs::write(place.path("archive/pool/a.deb"), bytes).unwrap();
    let text = place.refused();
    assert!(
        text.starts_with("a 1: what file://") && text.contains("is not what the lock"),
        "{text}"
    );
    assert!(text.contains("SHA-256 in the lock") && text.contains("before you know why"), "{text}");
    assert_eq!(fs::read_dir(place.path("debs")).unwrap().count(), 0);
}

#[test]
fn a_damaged_cache_heals() {
    let place = Place::new();
    let first = fs::read(place.build().unwrap().names.archive).unwrap();
    for entry in fs::read_dir(place.path("debs")).unwrap() {
        fs::write(entry.unwrap().path(), "damaged").unwrap();
    }
    assert!(fs::read(place.build().unwrap().names.archive).unwrap() == first);
}

#[test]
fn what_the_archive_has_no_more_is_named_and_comes_from_kept_inputs() {
    let place = Place::new();
    let mut options = place.options();
    options.keep_inputs = Some(place.path("kept"));
    let host = place.host();
    let first = fs::read(recipe::build(&options, &host).unwrap().names.archive).unwrap();
    fs::remove_file(place.path("archive/pool/b.deb")).unwrap();
    fs::remove_dir_all(place.path("debs")).unwrap();
    fs::remove_dir_all(place.path("out")).unwrap();
    let text = place.refused();
    assert!(text.starts_with("b 1: the archive file://"), "{text}");
    assert!(text.contains("does not have pool/b.deb any more"), "{text}");
    assert!(text.contains("cargo xtask ospkg lock os") && text.contains("--inputs"), "{text}");
    fs::remove_dir_all(place.path("debs")).unwrap();
    options.keep_inputs = None;
    options.debs.inputs =
        Some(rebuild::store::Origin::parse(place.path("kept").to_str().unwrap()).unwrap());
    assert!(fs::read(recipe::build(&options, &host).unwrap().names.archive).unwrap() == first);
}

#[test]
fn a_lock_that_is_older_than_the_recipe_is_refused() {
    let place = Place::new();
    place.recipe("os", &RECIPE.replace("\"b\"]", "\"c\"]"));
    let text = place.refused();
    assert!(text.contains("older than the recipe") && text.contains("packages: +c -b"), "{text}");
    assert!(text.contains("`cargo xtask ospkg lock os` makes it anew"), "{text}");
    fs::remove_file(place.path("ospkg/os/packages.lock")).unwrap();
    assert!(place.refused().contains("`cargo xtask ospkg lock os` makes it"));
}

#[test]
fn entries_that_no_package_should_have_are_refused() {
    for (entry, words) in [
        ((FILE, "../x", 0o644, ""), "\"../x\" does not stay inside"),
        ((FILE, "./a/../../x", 0o644, ""), "does not stay inside"),
        ((FILE, "/etc/x", 0o644, ""), "\"/etc/x\" does not stay inside"),
        ((EntryType::Char, "./dev/x", 0o644, ""), "/dev/x is a device"),
        ((EntryType::Block, "./x", 0o644, ""), "/x is a device"),
        ((EntryType::Fifo, "./x", 0o644, ""), "/x is a device or a pipe"),
        ((EntryType::Link, "./x", 0o644, "../../etc/passwd"), "does not stay inside"),
        ((EntryType::Link, "./x", 0o644, "./nothing"), "a hard link to /nothing"),
        (
            (FILE, "./usr/lib/a.conf", 0o644, "other"),
            "in the packages a and b, and is not the same",
        ),
        ((FILE, "./usr/bin", 0o644, ""), "cannot both be there"),
    ] {
        let place = Place::new();
        let a = fs::read(place.path("archive/pool/a.deb")).unwrap();
        place.lock("os", &[("a", &a), ("b", &deb(&[entry]))]);
        let text = place.refused();
        assert!(text.contains(words), "{text}");
        assert!(
            text.starts_with("b: ") || text.contains("and b") || text.contains("of b"),
            "{text}"
        );
    }
    // A link may lead anywhere: it is followed inside the image only.
    let place = Place::new();
    let entries = [(LINK, "./out", 0o777, "/"), (FILE, "./out/etc/x", 0o644, "x")];
    let a = fs::read(place.path("archive/pool/a.deb")).unwrap();
    place.lock("os", &[("a", &a), ("b", &deb(&entries))]);
    let lines = listing(&place.build().unwrap().names.archive);
    assert!(lines.iter().any(|it| it.starts_with("etc/x ")), "{lines:#?}");
}

#[test]
fn a_package_that_is_none_is_refused() {
    for (bytes, words) in [
        (&b"<html>"[..], "it does not begin as one"),
        (b"!<arch>\nshort", "a header is cut short"),
        (b"!<arch>\n", "it has no data.tar"),
    ] {
        let place = Place::new();
        place.lock("os", &[("a", bytes), ("b", &deb(&[]))]);
        let text = place.refused();
        assert!(text.contains("a: it is no Debian package") && text.contains(words), "{text}");
    }
}

#[test]
fn whose_file_wins_must_be_said() {
    let place = Place::new();
    place.recipe("base", "label = \"Base\"\n");
    place.write("ospkg/base/files/etc/motd", "base\n");
    place.recipe("os", &format!("include = [\"base\"]\n{RECIPE}"));
    let text = place.refused();
    assert!(text.contains("/etc/motd is in the recipes base and os"), "{text}");
    assert!(text.contains("replaces = [\"/etc/motd\"]"), "{text}");
    place.recipe("os", &format!("include = [\"base\"]\nreplaces = [\"/etc/motd\"]\n{RECIPE}"));
    let lines = listing(&place.build().unwrap().names.archive);
    assert!(lines.iter().any(|it| it == "etc/motd 100644 0 1700000000 hello\n"), "{lines:#?}");
    fs::remove_dir_all(place.path("out")).unwrap();
    place.recipe("os", &format!("replaces = [\"/nothing\"]\n{RECIPE}"));
    assert!(place.refused().contains("it has no /nothing to replace one with"));
}

#[test]
fn what_is_missing_for_a_boot_is_named() {
    let place = Place::new();
    place.recipe("os", &format!("kernel = \"none\"\n{RECIPE}"));
    let text = place.refused();
    assert!(text.contains("there is no kernel") && text.contains("kernel build os"), "{text}");
    place.recipe("os", RECIPE);
    fs::remove_file(place.path("ospkg/os/files/init")).unwrap();
    assert!(place.refused().contains("no executable /init"));
    // A real program, without the libraries that it needs.
    let place = Place::new();
    fs::copy("/bin/ls", place.path("ospkg/os/files/etc/ls")).unwrap();
    let text = place.refused();
    assert!(text.contains("/etc/ls needs ") && text.contains("libc.so.6"), "{text}");
    place.recipe("os", &RECIPE.replace("[exclude]\n", "[exclude]\nmay_lack = [\"/etc/ls\"]\n"));
    place.build().unwrap();
    place.recipe("os", &RECIPE.replace("\"/usr/share", "\"/etc/motd\", \"/usr/share"));
    fs::remove_dir_all(place.path("out")).unwrap();
    assert!(place.refused().contains("/etc/motd of recipe os is excluded"));
}

#[test]
fn a_hook_that_fails_is_heard() {
    let place = Place::new();
    let hook = place.path("ospkg/os/hooks/10-x");
    script(&hook, "#!/bin/sh\necho the reason >&2\nexit 3\n");
    let text = place.refused();
    assert!(text.contains("10-x failed") && text.contains("the reason"), "{text}");
    fs::write(&hook, "").unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(place.refused().contains("cannot be executed"));
}

#[test]
fn an_existing_root_file_system_is_taken() {
    let place = Place::new();
    let entries = [
        (FILE, "./sbin/init", 0o755, "#!/bin/sh\n"),
        (FILE, "./etc/owned", 0o600, "x"),
        (EntryType::Char, "./dev/null", 0o666, ""),
    ];
    let bytes = zstd::bulk::compress(&tar(&entries), 3).unwrap();
    fs::write(place.path("ospkg/os/root.tar.zst"), bytes).unwrap();
    let rest = "[[entry]]\npath = \"/init\"\nlink = \"sbin/init\"\n";
    fs::remove_file(place.path("ospkg/os/files/init")).unwrap();
    place.recipe("os", &format!("[root]\ntar = \"root.tar.zst\"\n{rest}"));
    let built = place.build().unwrap();
    let lines = listing(&built.names.archive);
    assert!(lines.iter().any(|it| it == "etc/owned 100600 101 0 x"), "{lines:#?}");
    let record = rebuild::build::BuildRecord::parse(&member(&built.names.archive, "build.json"));
    assert_eq!(record.unwrap().inputs_of("root-tar").count(), 1);
    // The same as a directory.
    script(&place.path("ospkg/os/tree/sbin/init"), "#!/bin/sh\n");
    place.recipe("os", &format!("[root]\ndirectory = \"tree\"\nsource_date_epoch = 5\n{rest}"));
    let lines = listing(&place.build().unwrap().names.archive);
    assert!(lines.iter().any(|it| it.starts_with("sbin/init 100755 ")), "{lines:#?}");
    fs::remove_dir_all(place.path("out")).unwrap();
    place.recipe("os", &format!("[root]\ndirectory = \"none\"\n{rest}"));
    assert!(place.refused().contains("there is no directory"));
    let device = tar(&[(EntryType::Block, "./etc/disk", 0o666, "")]);
    fs::write(place.path("ospkg/os/root.tar.zst"), device).unwrap();
    place.recipe("os", &format!("[root]\ntar = \"root.tar.zst\"\n{rest}"));
    assert!(place.refused().contains("/etc/disk is a device"));
}

#[test]
fn public_keys_of_staff_go_in_and_private_ones_do_not() {
    let place = Place::new();
    let mut options = place.options();
    options.staff_keys = Some(place.path("staff"));
    let host = place.host();
    let key = ramstrap_cli::keys::PrivateKey::generate().unwrap();
    let private = key.to_pem(ramstrap_cli::keys::KeyFormat::Pkcs8, "").unwrap();
    let words = |text: &str, words: &str| {
        place.write("staff/alice.pem", text);
        let error = recipe::build(&options, &host).unwrap_err().to_string();
        assert!(error.contains("alice.pem: ") && error.contains(words), "{error}");
    };
    words(&private, "it is a private key");
    words("hello", "it is no public key");
    words("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "");
    assert!(!place.path("out/os.zip").exists());
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let place = Place::new();
    place.build().unwrap();
    let small = place.path("small");
    fs::create_dir(&small).unwrap();
    let mount = |args: &[&str]| {
        Command::new("mount").args(args).arg(&small).status().is_ok_and(|status| status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=40k", "none"]) {
        eprintln!("SKIPPED: a file system that is too small takes root");
        return;
    }
    let noise: String = (0..60_000_u32)
        .map(|it| char::from(b' ' + (it.wrapping_mul(2_654_435_761) >> 26) as u8))
        .collect();
    place.write("ospkg/os/files/etc/noise", &noise);
    let mut options = place.options();
    options.out = small.clone();
    let host = place.host();
    let result = recipe::build(&options, &host);
    let left: Vec<_> = fs::read_dir(&small).unwrap().flatten().map(|it| it.file_name()).collect();
    let unmounted = Command::new("umount").arg(&small).status().unwrap().success();
    let error = result.unwrap_err();
    assert!(
        error.to_string().contains("no space left") || error.to_string().contains("No space left"),
        "{error}"
    );
    assert!(unmounted && left.is_empty(), "{left:?}");
}
