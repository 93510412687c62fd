use std::io::BufRead;
use std::io::BufReader;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use super::*;

fn hex_of(bytes: &[u8]) -> String {
    crate::sha256(bytes)
}

#[test]
fn what_is_put_in_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(&dir.path().join("store")).unwrap();
    let stored = store.put(b"hello", Some(&hex_of(b"hello"))).unwrap();
    assert_eq!((stored.size, stored.new), (5, true));
    assert!(!store.put(b"hello", None).unwrap().new);
    let path = store.get(&stored.sha256).unwrap().unwrap();
    assert_eq!(path, dir.path().join("store/sha256").join(hex_of(b"hello")));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(store.get(&hex_of(b"other")).unwrap(), None);
    assert_eq!(store.list().unwrap().len(), 1);
    let file = dir.path().join("file");
    fs::write(&file, "content").unwrap();
    store.put_file(&file, None).unwrap();
    let verified = store.verify().unwrap();
    assert_eq!((verified.good, verified.bytes), (2, 12));
    assert!(verified.damaged.is_empty() && verified.strange.is_empty());
}

#[test]
fn a_wrong_digest_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let error = store.put(b"hello", Some(&hex_of(b"other"))).unwrap_err().to_string();
    assert!(error.contains(&hex_of(b"hello")) && error.contains(&hex_of(b"other")), "{error}");
    assert_eq!(fs::read_dir(dir.path().join("sha256")).unwrap().count(), 0);
    assert!(store.put_file(dir.path(), None).unwrap_err().to_string().contains("no regular file"));
    assert!(Store::open(&dir.path().join("none")).is_err());
}

#[test]
fn damage_is_found_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let name = store.put(b"hello", None).unwrap().sha256;
    fs::write(store.path(&name), b"hellO").unwrap();
    fs::write(dir.path().join("sha256/README"), b"").unwrap();
    assert!(store.get(&name).unwrap_err().to_string().contains("is damaged"));
    let verified = store.verify().unwrap();
    assert_eq!(verified.damaged, [(name.clone(), hex_of(b"hellO"))]);
    assert_eq!(verified.strange, ["README"]);
    let origin = Origin::parse(dir.path().to_str().unwrap()).unwrap();
    let into = dir.path().join("out");
    assert!(origin.fetch(&name, 100, &into).unwrap_err().to_string().contains("is damaged"));
    assert!(!into.exists());
    assert!(store.put(b"hello", None).unwrap().new);
    origin.fetch(&name, 100, &into).unwrap();
    assert_eq!(fs::read(&into).unwrap(), b"hello");
    assert!(origin.fetch(&name, 4, &into).unwrap_err().to_string().contains("more than 4 bytes"));
    assert!(origin.fetch("../../etc/passwd", 4, &into).is_err());
}

/// A server that gives the same answer to everybody and tells what was asked for.
fn server(answer: &'static [u8]) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handle = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = BufReader::new(stream.try_clone().unwrap());
        let (mut first, mut line) = (String::new(), String::new());
        request.read_line(&mut first).unwrap();
        while line != "\r\n" {
            line.clear();
            request.read_line(&mut line).unwrap();
        }
        stream.write_all(answer).unwrap();
        first.trim().to_owned()
    });
    (format!("http://user:canary@{address}/kept"), handle)
}

#[test]
fn servers_are_asked_and_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("sub/out");
    let name = hex_of(b"hello");
    let good = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let (url, asked) = server(good);
    Origin::parse(&url).unwrap().fetch(&name, 100, &into).unwrap();
    assert_eq!(fs::read(&into).unwrap(), b"hello");
    assert_eq!(asked.join().unwrap(), format!("GET /kept/sha256/{name} HTTP/1.1"));
    fs::remove_file(&into).unwrap();
    for (answer, limit, words) in [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellO".as_slice(), 100, "is damaged"),
        (good, 4, "more than 4 bytes"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 100, "has no sha256/"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 100, "500"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 100, "download: "),
    ] {
        let (url, _) = server(answer);
        let error = Origin::parse(&url).unwrap().fetch(&name, limit, &into).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words) && !text.contains("canary"), "{text}");
        assert!(!into.exists());
        assert_eq!(fs::read_dir(dir.path().join("sub")).unwrap().count(), 0);
    }
}
