//! Whom the server runs as: PostgreSQL refuses root. It must never be root, and never someone who does not exist.

use std::{
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
};

use super::error::{Error, file_error};

/// Whom the server runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The user we are.
    Ourselves,
    /// We are root: this user and group.
    Other { uid: u32, gid: u32 },
}

impl Owner {
    /// `folder` was just made by us: its owner tells who we are, without a system call that needs `unsafe`.
    pub(super) fn of_server(folder: &Path) -> Result<Self, Error> {
        if fs::metadata(folder)
            .map_err(file_error("look at", folder))?
            .uid()
            != 0
        {
            return Ok(Self::Ourselves);
        }
        let path = Path::new("/etc/passwd");
        let users = fs::read_to_string(path).map_err(file_error("read", path))?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Self::in_passwd(&users, name))
            .ok_or(Error::NoUnprivilegedUser)
    }

    /// The entry of `name` in text of `/etc/passwd`, unless it is root itself.
    fn in_passwd(users: &str, name: &str) -> Option<Self> {
        // macOS writes `nobody` as -2.
        let number = |text: &str| {
            text.parse::<u32>()
                .ok()
                .or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
        };
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (user, _, uid, gid) = (
                fields.next()?,
                fields.next()?,
                number(fields.next()?)?,
                number(fields.next()?)?,
            );
            (user == name && uid != 0).then_some(Self::Other { uid, gid })
        })
    }

    pub(super) fn give(self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid } => std::os::unix::fs::chown(path, Some(uid), Some(gid))
                .map_err(file_error("give away", path)),
        }
    }

    pub(super) fn drop_to(self, command: &mut Command) {
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Owner;

    #[test]
    fn finds_an_unprivileged_user() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody:*:-2:-2:none:/var/empty:/usr/bin/false\nbad:x\nzero:x:0:1::/:\n";
        assert_eq!(
            Owner::in_passwd(users, "nobody"),
            Some(Owner::Other {
                uid: 4_294_967_294,
                gid: 4_294_967_294
            })
        );
        for name in ["postgres", "bad", "zero", "root"] {
            assert_eq!(Owner::in_passwd(users, name), None, "{name}");
        }
    }
}
