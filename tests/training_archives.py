"""Tiny archives of each registry's kind, for tests."""

import io
import tarfile
import zipfile


def tar(members, compression):
    """The bytes of a tar file with these members: name -> content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def wheel_file(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def deb(members):
    """A Debian package: an ar file whose first member is of odd length, so padding matters."""
    data = tar({f"./{name}": content for name, content in members.items()}, "xz")
    parts = (("debian-binary", b"2.0"), ("data.tar.xz", data))
    return b"!<arch>\n" + b"".join(_ar_member(name, content) for name, content in parts)


def _ar_member(name, content):
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
    return header.encode() + content + b"\n" * (len(content) % 2)
