"""References become values; generated ones stay; no value is ever in a message."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.errors import FailedError, HostError, ProvisionerError
from provisioner.host.secrets import (
    DIGITS,
    LOWER,
    SYMBOLS,
    UPPER,
    FileSecretStore,
    KeptSecret,
    kept_secret,
    make_password,
)
from provisioner.ports import SecretStore
from provisioner.secret import (
    FromCommand,
    FromEnvironment,
    FromFile,
    FromKeyring,
    Generated,
    Plain,
    Secret,
    SecretRef,
)
from tests.fakes.secrets import FakeSecretStore

CANARY = "C4nary-Value"


@pytest.fixture
def store(tmp_path: Path) -> FileSecretStore:
    return FileSecretStore(
        tmp_path / "state" / "secrets.json",
        environment={"PW": CANARY, "PATH": os.environ["PATH"], "EMPTY": ""},
        home=tmp_path / "home",
        folder=tmp_path,
        timeout=5,
    )


def test_every_kind(store: FileSecretStore, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "pw").write_text(f"{CANARY}\n")
    (tmp_path / "home" / "pw").write_bytes(b"\xef\xbb\xbf" + CANARY.encode() + b"\r\n")
    references: tuple[SecretRef, ...] = (
        FromEnvironment(env="PW"),
        FromFile(file="pw"),
        FromFile(file="~/pw"),
        FromFile(file=str(tmp_path / "pw")),
        FromCommand(command=("printf", "%s\\n", CANARY)),
        Plain(plain=CANARY),
    )
    for reference in references:
        assert store.resolve("administrator", reference) == Secret(CANARY)
    assert not (tmp_path / "state").exists(), "nothing was generated, so nothing is kept"


def test_every_metacharacter_passes(store: FileSecretStore) -> None:
    value = "<>&\"'`^%!|;$(){}[]*?~#\\/ é漢"
    assert store.resolve("a", Plain(plain=value)).reveal() == value


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (FromEnvironment(env="NOPE"), "NOPE, which is not set"),
        (FromEnvironment(env="EMPTY"), "is empty"),
        (FromFile(file="nope"), "No such file"),
        (FromFile(file="bad"), "UTF-8"),
        (FromFile(file="two-lines"), r"control character \(U\+000A\) at position 13"),
        (FromFile(file="huge"), "more than"),
        (FromCommand(command=("no-such-program",)), "not installed"),
        (FromCommand(command=("sh", "-c", f"echo {CANARY}; exit 3")), "exit code 3"),
        (FromKeyring(keyring="service"), "service/user"),
        (Generated(generate=5), "too few"),
        (Plain(plain=f"{CANARY}\t"), r"U\+0009"),
    ],
)
def test_failures_name_the_secret_and_not_its_value(
    store: FileSecretStore, tmp_path: Path, reference: SecretRef, words: str
) -> None:
    (tmp_path / "bad").write_bytes(CANARY.encode() + b"\xff")
    (tmp_path / "two-lines").write_text(f"{CANARY}\n\n")
    (tmp_path / "huge").write_bytes(bytes(100_000))
    with pytest.raises(HostError, match=words) as caught:
        store.resolve("users.dev", reference)
    assert "users.dev" in caught.value.message
    seen: BaseException | None = caught.value
    while seen is not None:
        assert CANARY not in f"{seen} {seen!r} {getattr(seen, 'hint', '')}"
        seen = seen.__cause__ or seen.__context__


def test_no_keyring_says_what_to_install(store: FileSecretStore) -> None:
    with pytest.raises(HostError, match="keyring") as caught:
        store.resolve("a", FromKeyring(keyring="provisioner/dev"))
    assert caught.value.hint


def test_generated_ones_are_kept(store: FileSecretStore, tmp_path: Path) -> None:
    first = store.resolve("administrator", Generated(generate=20))
    assert store.resolve("administrator", Generated(generate=20)) == first
    other = store.resolve("users.dev", Generated(generate=20))
    assert other != first
    path = tmp_path / "state" / "secrets.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]
    assert kept_secret(path, "administrator") == KeptSecret(value=first)
    assert kept_secret(path, "users.dev") == KeptSecret(value=other)
    assert kept_secret(path, "dev") is None
    assert kept_secret(tmp_path / "none.json", "dev") is None


def test_another_length_keeps_the_password_in_use(store: FileSecretStore, tmp_path: Path) -> None:
    short = store.resolve("administrator", Generated(generate=12))
    long = store.resolve("administrator", Generated(generate=24))
    assert store.resolve("administrator", Generated(generate=12)) == short
    path = tmp_path / "state" / "secrets.json"
    assert kept_secret(path, "administrator") == KeptSecret(value=long)
    assert kept_secret(path, "administrator", length=12) == KeptSecret(value=short)


def test_fingerprints(store: FileSecretStore, tmp_path: Path) -> None:
    one, two = store.fingerprint(Secret("a")), store.fingerprint(Secret("b"))
    assert one != two and len(one) == 64
    assert store.fingerprint(Secret("a")) == one
    other = FileSecretStore(
        tmp_path / "other" / "secrets.json", environment={}, home=tmp_path, folder=tmp_path
    )
    assert other.fingerprint(Secret("a")) != one


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"key": "zz", "generated": {}}', b'{"key": 1}'])
def test_a_damaged_file(store: FileSecretStore, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state" / "secrets.json"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(FailedError, match="damaged"):
        store.fingerprint(Secret("a"))
    assert path.read_bytes() == content


def test_many_processes_agree(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from provisioner.host.secrets import FileSecretStore\n"
        "from provisioner.secret import Generated\n"
        "p = Path(sys.argv[1])\n"
        "s = FileSecretStore(p / 'secrets.json', environment={}, home=p, folder=p)\n"
        "print(s.resolve('a', Generated(generate=16)).reveal())"
    )
    processes = [
        subprocess.Popen((sys.executable, "-c", script, str(tmp_path)), stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    values = {process.communicate()[0] for process in processes}
    assert len(values) == 1 and len(values.pop()) == 17


def test_passwords_satisfy_windows() -> None:
    for length in (8, 14, 20, 127):
        for _ in range(200):
            password = make_password(length)
            assert len(password) == length and password[0].isalpha()
            for group in (UPPER, LOWER, DIGITS, SYMBOLS):
                assert any(character in group for character in password)


def test_errors_are_ours(store: FileSecretStore, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(ProvisionerError):
        store.fingerprint(Secret("a"))


def test_what_stands_in_the_way_of_a_secret(store: FileSecretStore, tmp_path: Path) -> None:
    """Found without a program run, a pipe read, or anything made."""
    (tmp_path / "good").write_text(CANARY)
    (tmp_path / "bad").write_text(f"{CANARY}\n\n")
    os.mkfifo(tmp_path / "pipe")
    marker = tmp_path / "ran"
    fine: tuple[SecretRef, ...] = (
        FromEnvironment(env="PW"),
        FromFile(file="good"),
        FromFile(file="pipe"),
        FromCommand(command=("touch", str(marker))),
        Generated(generate=20),
        Plain(plain=CANARY),
    )
    for reference in fine:
        assert store.obstacle("x", reference) is None, reference
    wrong: dict[str, SecretRef] = {
        "which is not set": FromEnvironment(env="NOT_SET"),
        "is empty": FromEnvironment(env="EMPTY"),
        "No such file": FromFile(file="missing"),
        "control character": FromFile(file="bad"),
        "is not installed": FromCommand(command=("no-such-program", "x")),
    }
    for words, reference in wrong.items():
        error = store.obstacle("x", reference)
        assert error is not None and words in error.message, reference
        assert CANARY not in error.message
    assert not marker.exists() and not (tmp_path / "state").exists()


@pytest.mark.parametrize("kind", ["file", "fake"])
def test_a_rotation_is_the_same_until_it_ends(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"

    def store() -> SecretStore:
        if kind == "fake":
            return fake
        return FileSecretStore(path, environment={}, home=tmp_path, folder=tmp_path)

    fake = FakeSecretStore()
    first = store().resolve("administrator", Generated(generate=20))
    new = store().begin_rotation("administrator", generation=1, length=20)
    assert new != first
    assert store().begin_rotation("administrator", generation=1, length=20) == new
    assert store().begin_rotation("administrator", generation=2, length=20) != new
    store().end_rotation("administrator", generation=1)
    assert store().begin_rotation("administrator", generation=1, length=20) == new
    assert store().resolve("administrator", Generated(generate=20)) == first
    if kind == "file":
        kept = kept_secret(path, "administrator", generation=1)
        assert kept == KeptSecret(value=new, previous=first)
        pending = kept_secret(path, "administrator", generation=2)
        assert pending is not None and pending.pending
        assert kept_secret(path, "administrator") == KeptSecret(value=first)
        assert path.stat().st_mode & 0o777 == 0o600
