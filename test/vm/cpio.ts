/** One entry of an archive: a folder when it has no content. */
export interface CpioEntry {
  path: string;
  content?: Buffer;
}

const FOLDER_MODE = 0o040755;
const FILE_MODE = 0o100755;

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

function record(path: string, mode: number, inode: number, content: Buffer): Buffer {
  const name = Buffer.from(`${path}\0`);
  const links = mode === FOLDER_MODE ? 2 : 1;
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = fields.map((value) => value.toString(16).padStart(8, "0")).join("");
  return Buffer.concat([
    padded(Buffer.concat([Buffer.from(`070701${header}`), name])),
    padded(content),
  ]);
}

/**
 * An archive in the format of initial ramdisks (cpio "newc", the kernel's
 * Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root, and
 * all files are executable. Parents must come before their children.
 */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const records = entries.map(({ path, content }, index) =>
    record(path, content ? FILE_MODE : FOLDER_MODE, index + 1, content ?? Buffer.alloc(0)),
  );
  return Buffer.concat([...records, record("TRAILER!!!", 0, 0, Buffer.alloc(0))]);
}
