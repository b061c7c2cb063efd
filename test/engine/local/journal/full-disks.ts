/** Disks that run out of space. */
import { stat } from 'node:fs/promises';
import { DiskFiles, type DiskFile } from '../../../../src/engine/local/journal/disk-files.ts';
import type { OpenMode } from '../../../../src/engine/local/journal/files.ts';

export const full = (): Error => Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });

/** On which files may grow by so much together; what is deleted is free again. */
export class Quota extends DiskFiles {
  freeBytes = Infinity;

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const file = await super.open(path, mode);
    let size = await file.size();
    const write = file.write.bind(file);
    file.write = (bytes, offset, length, position) => {
      const more = Math.max(0, position + length - size);
      if (more > 0 && more > this.freeBytes) return Promise.reject(full());
      this.freeBytes -= more;
      size += more;
      return write(bytes, offset, length, position);
    };
    return file;
  }

  override async unlink(path: string): Promise<void> {
    const { size } = await stat(path);
    await super.unlink(path);
    this.freeBytes += size;
  }
}

/** Without room for another segment once it is full. */
export class FullDisk extends DiskFiles {
  full = false;

  override open(path: string, mode: OpenMode): Promise<DiskFile> {
    return this.full && mode === 'create' && path.endsWith('.seg.new')
      ? Promise.reject(full())
      : super.open(path, mode);
  }
}
