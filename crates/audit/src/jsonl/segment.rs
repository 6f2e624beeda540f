use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use backstop_core::wall;
use jiff::Timestamp;

/// Where segments are made.
pub(super) trait Directory: Send + 'static {
    type Segment: Segment;

    /// Makes a new segment whose name will survive a power cut.
    fn create(&mut self) -> io::Result<Self::Segment>;
}

/// A file of records, appended to by one writer.
pub(super) trait Segment: Send + 'static {
    /// Appends `bytes`; an error may leave a part of them.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was appended durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Lets go of the segment after a failure, and of what stands behind its first `durable` bytes, as well as may
    /// be: it is to be written again elsewhere.
    fn abandon(self, durable: u64);
}

/// A directory of the file system.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    made: u64,
}

impl Folder {
    /// The directory at `path`, which is made, for its owner alone, if it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        Ok(Self {
            path: path.to_owned(),
            made: 0,
        })
    }

    fn next_path(&mut self) -> io::Result<PathBuf> {
        let now = Timestamp::try_from(wall::now()).map_err(io::Error::other)?;
        let number = self.made;
        self.made += 1;
        Ok(self.path.join(format!(
            "backstop-{}-{}-{number}.jsonl",
            now.strftime("%Y%m%dT%H%M%SZ"),
            std::process::id(),
        )))
    }
}

impl Directory for Folder {
    type Segment = Appended;

    fn create(&mut self) -> io::Result<Appended> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let (path, file) = loop {
            let path = self.next_path()?;
            match options.open(&path) {
                Ok(file) => break (path, file),
                // Another sink of this process, in the same second.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        // Elsewhere a directory cannot be opened to be synced.
        #[cfg(unix)]
        File::open(&self.path)?.sync_all()?;
        Ok(Appended { path, file })
    }
}

/// A file that is appended to.
#[derive(Debug)]
pub(super) struct Appended {
    path: PathBuf,
    file: File,
}

impl Segment for Appended {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn abandon(self, durable: u64) {
        // If this fails as well, a record may stand twice, or a line be cut: better than a record that is missing.
        let _ = if durable == 0 {
            std::fs::remove_file(&self.path)
        } else {
            self.file.set_len(durable)
        };
    }
}
