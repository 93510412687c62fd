"""A second reader of OS packages: nothing but what docs/formats.md and docs/certificates.md say.

Judges every case below a directory (trust_policy.json, ospkg_signing_root.pem, os.json, os.zip) at a
moment in Unix seconds, and prints NAME and `accepted` or the code of the refusal. It shows that the
pages suffice; it is no product: weak keys and deep corners of X.509 are left to its library.
"""

import base64, binascii, datetime, hashlib, json, pathlib, re, struct, sys, urllib.parse, zlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as EKU, ExtensionOID as OID


class Refused(Exception):
    pass


def need(condition, code):
    if not condition:
        raise Refused(code)


# JSON

def fold(key):
    lower = re.sub("[A-Z]", lambda letter: letter[0].lower(), key)
    return lower.replace("\u017f", "s").replace("\u212a", "k")


def strict_object(data, code, nul=False):
    def pairs(found):
        made = {fold(key): value for key, value in found}
        need(len(made) == len(found), code)
        return made

    def number(text):
        value = float(text)
        need(value not in (float("inf"), float("-inf")), code)
        return value if re.search("[.eE]", text) else int(text)

    def check(value, depth=1):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        need(depth <= 127, code)
        for key, item in inside:
            if isinstance(key, str):
                key.encode()
            if isinstance(item, str):
                item.encode()
            if isinstance(item, (dict, list)):
                check(item, depth + 1)

    try:
        text = data.decode().rstrip(" \t\r\n" + ("\0" if nul else ""))
        decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_float=number, parse_int=number,
                                   parse_constant=lambda _: need(False, code))
        value, end = decoder.raw_decode(text, len(text) - len(text.lstrip(" \t\r\n")))
        need(end == len(text) and isinstance(value, dict), code)
        check(value)
        return value
    except (ValueError, RecursionError, OverflowError):
        raise Refused(code)


def field(values, key, kinds, code, default=None, rule=lambda _: True):
    value = values.get(key)
    if value is None:
        return default
    need(isinstance(value, kinds) and not isinstance(value, bool) and rule(value), code)
    return value


def whole(least, most):
    return lambda value: least <= value <= most


CHANNEL = re.compile(r"[A-Za-z0-9._-]{1,64}", re.A).fullmatch

# Base64, PEM, certificates


def decode(text, code, loose=False):
    text = re.sub("[\r\n]" if loose else r"\s", "", text)
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(code)
    need(len(text) % 4 == 0 and (loose or base64.b64encode(raw).decode() == text), code)
    return raw


def blocks(pem, code):
    need(len(pem) <= 1 << 20, code)
    found, label = [], None
    for line in pem.decode("latin-1").split("\n"):
        line = line.rstrip(" \t\r\f")
        if label is None:
            begin = re.fullmatch("-----BEGIN (.*)-----", line)
            label, lines = (begin[1], []) if begin else (None, [])
        elif line == f"-----END {label}-----":
            found.append((label, "".join(lines)))
            label = None
        else:
            need(not line.startswith("-----"), code)
            lines.append(line)
    need(label is None, code)
    return found


def certificate(text, code):
    need(":" not in text, code)
    try:
        cert = x509.load_der_x509_certificate(decode(text, code))
        cert.extensions, cert.public_key(), cert.subject, cert.issuer
        return cert
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise Refused(code)


def extension(cert, oid):
    found = [it.value for it in cert.extensions if it.oid == oid]
    return found[0] if found else None


def understood(cert):
    known = (OID.BASIC_CONSTRAINTS, OID.KEY_USAGE, OID.EXTENDED_KEY_USAGE, OID.SUBJECT_ALTERNATIVE_NAME)
    return extension(cert, OID.NAME_CONSTRAINTS) is None and all(
        it.oid in known for it in cert.extensions if it.critical)


def signs_code(cert):
    usage = extension(cert, OID.EXTENDED_KEY_USAGE)
    return usage is None or EKU.CODE_SIGNING in usage or EKU.ANY_EXTENDED_KEY_USAGE in usage


def spki(cert):
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(cert.public_key().public_bytes(*form)).hexdigest()


def roots(pem):
    code = "E0104"
    found = [certificate(text, code) for label, text in blocks(pem, code) if label == "CERTIFICATE"]
    need(1 <= len(found) <= 64, code)
    for root in found:
        constraints, usage = extension(root, OID.BASIC_CONSTRAINTS), extension(root, OID.KEY_USAGE)
        need(constraints is not None and constraints.ca, code)
        need(usage is None or usage.key_cert_sign, code)
        need(understood(root), code)
    return found


def issued(cert, root):
    key, hash = root.public_key(), cert.signature_hash_algorithm
    signed = (cert.signature, cert.tbs_certificate_bytes)
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(*signed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            need(isinstance(hash, (hashes.SHA256, hashes.SHA384)), "E0406")
            key.verify(*signed, ec.ECDSA(hash))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(*signed, padding.PKCS1v15(), hash)
        return True
    except (InvalidSignature, TypeError):
        return False


# Trust policy, descriptor


def policy(data):
    need(len(data) <= 65536, "E0102")
    values, code = strict_object(data, "E0102", nul=True), "E0103"
    digest = re.compile("[0-9a-fA-F]{64}").fullmatch
    read = {
        "threshold": field(values, "ospkg_signature_threshold", int, code, None, whole(1, 2**63 - 1)),
        "fetch": field(values, "ospkg_fetch_method", str, code, None, ["network", "initramfs"].count),
        "denied": field(values, "denied_keys", list, code, [],
                        lambda keys: all(isinstance(key, str) and digest(key) for key in keys)),
        "skew": field(values, "max_clock_skew", int, code, 315576000, whole(0, 2**64 - 1)),
        "release": field(values, "min_release", int, code, None, whole(0, 2**64 - 1)),
        "channel": field(values, "channel", str, code, None, CHANNEL),
    }
    need(read["threshold"] and read["fetch"], code)
    return read


def url_reference(text):
    try:
        parts = urllib.parse.urlsplit(text)
        parts.port
    except ValueError:
        return False
    first = text.split("/")[0]
    return not re.search("[\0-\x20\x7f]", text) and (bool(parts.scheme) or ":" not in first)


def descriptor(data):
    need(len(data) <= 1 << 20, "E0310")
    values = strict_object(data, "E0401")
    need(values.get("version") == 1 and type(values["version"]) is int, "E0401")
    need(url_reference(field(values, "os_pkg_url", str, "E0401", "")), "E0401")
    lists = [field(values, key, list, "E0401", []) for key in ("certificates", "signatures")]
    need(len(lists[0]) == len(lists[1]), "E0402")
    entries = []
    for pair in zip(*lists):
        need(all(isinstance(it, (str, type(None))) for it in pair), "E0403")
        pem, signature = (decode(it or "", "E0403", loose=True) for it in pair)
        found = blocks(pem, "E0403")
        need(len(found) == 1 and found[0][0] == "CERTIFICATE", "E0403")
        entries.append((certificate(found[0][1], "E0403"), signature))
    return entries


# Counting, time


def period(certs, now):
    begin = max(cert.not_valid_before_utc.timestamp() for cert in certs)
    end = min(cert.not_valid_after_utc.timestamp() for cert in certs)
    need(end >= now, "E0407")
    need(begin <= now, "E0408")


def path(cert, trusted, denied, now):
    def usable(root):
        need(signs_code(cert) and signs_code(root), "E0412")
        period((cert, root), now)
        need(not {spki(cert), spki(root)} & denied, "E0413")

    if any(cert == root for root in trusted):
        return usable(cert)
    need(understood(cert), "E0406")
    failure = "E0406"
    for root in trusted:
        if cert.issuer.public_bytes() != root.subject.public_bytes():
            continue
        try:
            need((cert.subject, spki(cert)) != (root.subject, spki(root)), "E0406")
            need(issued(cert, root), "E0406")
            return usable(root)
        except Refused as refused:
            failure = failure if failure != "E0406" else str(refused)
    raise Refused(failure)


def authorize(rules, trusted, entries, digest, now):
    need(len(entries) <= 256, "E0401")
    denied, keys, skipped = {key.lower() for key in rules["denied"]}, set(), []
    for cert, signature in entries:
        try:
            need(isinstance(cert.public_key(), ed25519.Ed25519PublicKey), "E0409")
            need(len(signature) == 64, "E0410")
            path(cert, trusted, denied, now)
            try:
                cert.public_key().verify(signature, digest)
            except InvalidSignature:
                raise Refused("E0405")
            need(spki(cert) not in keys, "E0411")
            keys.add(spki(cert))
        except Refused as refused:
            skipped.append(str(refused))
    if len(keys) < rules["threshold"]:
        shared = len(entries) >= rules["threshold"] and len(set(skipped)) == 1
        raise Refused(skipped[0] if shared else "E0404")


# Archive


class Archive:
    def __init__(self, data):
        self.data = data
        for at in range(len(data) - 22, max(-1, len(data) - 22 - 65535 - 1), -1):
            if data[at:at + 4] == b"PK\5\6" and at + 22 + self.get("H", at + 20)[0] <= len(data):
                break
        else:
            raise Refused("E0501")
        disks, (here, count, length, offset) = self.get("HH", at + 4), self.get("HHII", at + 8)
        if (count == 0xFFFF or 0xFFFFFFFF in (length, offset)) and data[at - 20:at - 16] == b"PK\6\7" and at >= 20:
            record = self.get("Q", at - 12)[0]
            need(record < at - 20 and data[record:record + 4] == b"PK\6\6", "E0501")
            disks, (here, count, length, offset) = self.get("II", record + 16), self.get("QQQQ", record + 24)
            at = record
        need(disks == (0, 0) and here == count <= 65535 and length <= 16 << 20, "E0501")
        self.start = at - length
        base = self.start - offset
        need(self.start >= 0 and base >= 0, "E0501")
        self.entries, at, end = [], self.start, at
        for _ in range(count):
            need(at + 46 <= end and data[at:at + 4] == b"PK\1\2", "E0501")
            flags, method = self.get("HH", at + 8)
            crc, packed, size, name, extra, comment, disk = self.get("IIIHHHH", at + 16)
            offset = self.get("I", at + 42)[0]
            need(at + 46 + name + extra + comment <= end and name <= 4096 and disk == 0, "E0501")
            wide = self.wide(data[at + 46 + name:at + 46 + name + extra])
            values = []
            for value in (size, packed, offset):
                if value == 0xFFFFFFFF:
                    need(len(wide) >= 8, "E0501")
                    value, wide = struct.unpack_from("<Q", wide)[0], wide[8:]
                values.append(value)
            size, packed, offset = values
            self.entries.append((data[at + 46:at + 46 + name], flags, method, crc, packed, size, offset + base))
            at += 46 + name + extra + comment
        need(at == end, "E0501")

    def get(self, form, at):
        need(at >= 0 and at + struct.calcsize("<" + form) <= len(self.data), "E0501")
        return struct.unpack_from("<" + form, self.data, at)

    @staticmethod
    def wide(extra):
        while len(extra) >= 4:
            kind, length = struct.unpack_from("<HH", extra)
            if len(extra) < 4 + length:
                break
            if kind == 1:
                return extra[4:4 + length]
            extra = extra[4 + length:]
        return b""

    def find(self, name):
        return next((entry for entry in self.entries if entry[0] == name.encode()), None)

    def locate(self, entry):
        name, flags, method, crc, packed, size, at = entry
        bad = 1 | 1 << 5 | 1 << 6 | 1 << 13
        need(not flags & bad and method in (0, 8) and (method == 8 or packed == size), "E0501")
        need(at + 30 <= self.start and self.data[at:at + 4] == b"PK\3\4", "E0501")
        local_flags, local_method = self.get("HH", at + 6)
        local_crc, local_packed, local_size, name_length, extra = self.get("IIIHH", at + 14)
        need(self.data[at + 30:at + 30 + name_length] == name and local_method == method, "E0501")
        need(not local_flags & bad, "E0501")
        same = local_crc == crc and all(
            ours in (0xFFFFFFFF, theirs) for ours, theirs in ((local_packed, packed), (local_size, size)))
        need(same or local_flags & 8, "E0501")
        begin = at + 30 + name_length + extra
        need(begin + packed <= self.start, "E0501")
        return begin

    def read(self, entry):
        begin = self.locate(entry)
        _, flags, method, crc, packed, size, _ = entry
        data = self.data[begin:begin + packed]
        if method == 8:
            stream = zlib.decompressobj(-15)
            try:
                data = stream.decompress(data, size + 1)
            except zlib.error:
                raise Refused("E0501")
            need(stream.eof or (len(data) == size and not stream.decompress(stream.unconsumed_tail, 1) and stream.eof), "E0501")
        need(len(data) == size and zlib.crc32(data) == crc, "E0501")
        if flags & 8:
            behind = self.data[begin + packed:begin + packed + 8]
            behind = behind[4:] if behind[:4] == b"PK\7\x08" else behind[:4]
            need(behind == struct.pack("<I", crc), "E0501")
        return data


# Manifest, admission


def moment(text):
    form = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.A).fullmatch
    try:
        return form(text) and datetime.datetime.fromisoformat(text).timestamp() is not None
    except ValueError:
        return False


def manifest(data):
    values, code = strict_object(data, "E0503"), "E0503"
    need(values.get("version") == 1 and type(values["version"]) is int, code)
    read = {key: field(values, key, str, code) or None for key in ("label", "kernel", "initramfs", "cmdline")}
    need(read["kernel"] and read["initramfs"] and "\0" not in (read["cmdline"] or ""), code)
    field(values, "watchdog_seconds", int, code, None, whole(10, 86400))
    read["release"] = field(values, "release", int, code, None, whole(0, 2**64 - 1))
    read["not_after"] = field(values, "not_after", str, code, None, moment)
    read["channel"] = field(values, "channel", str, code, None, CHANNEL)
    return read


def admit(read, rules, now):
    least, channel, end = rules["release"], rules["channel"], read["not_after"]
    need(least is None or (read["release"] is not None and read["release"] >= least), "E0414")
    need(channel is None or read["channel"] == channel, "E0421")
    need(end is None or datetime.datetime.fromisoformat(end).timestamp() >= now, "E0420")


def judge(case, now):
    rules = policy((case / "trust_policy.json").read_bytes())
    trusted = roots((case / "ospkg_signing_root.pem").read_bytes())
    entries = descriptor((case / "os.json").read_bytes())
    data = (case / "os.zip").read_bytes()
    authorize(rules, trusted, entries, hashlib.sha256(data).digest(), now)
    archive = Archive(data)
    entry = archive.find("manifest.json")
    need(entry, "E0502")
    need(entry[5] <= 1 << 20, "E0501")
    read = manifest(archive.read(entry))
    admit(read, rules, now)
    found = []
    for name, missing in (("kernel", "E0504"), ("initramfs", "E0505")):
        entry = archive.find(read[name])
        need(entry and entry[5], missing)
        need(entry[5] <= 2 << 30, "E0506")
        archive.locate(entry)
        found.append(entry)
    return [hashlib.sha256(archive.read(entry)).hexdigest() for entry in found]


for case in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        print(case.name, "accepted", *judge(case, int(sys.argv[2])))
    except Refused as refused:
        print(case.name, refused)
