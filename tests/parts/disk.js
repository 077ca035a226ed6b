// A small filesystem for the journals: a tmpfs in a mount namespace that a process of ours keeps, so it
// is gone with us whatever happens, and a normal user may have one. Others reach it by /proc/PID/root.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';

const CHUNK = Buffer.alloc(256 << 10);

export class Disk {
  // dir: an empty folder to mount on. Ends with `denied` set where the system does not let us.
  static async mount(dir, mib) {
    const disk = new Disk();
    const ways = [['-Urm'], ...(process.getuid() === 0 ? [['-m']] : [])];
    for (const way of ways) {
      const keeper = spawn('unshare', [...way, 'sh', '-c',
        `mount -t tmpfs -o size=${mib}m,mode=700 footfall-chaos "$1" && echo mounted && exec cat`, 'sh', dir],
      { stdio: ['pipe', 'pipe', 'pipe'] }); // cat ends when our end of its pipe is closed
      const said = await Promise.race([once(keeper.stdout, 'data'), once(keeper, 'exit'), once(keeper, 'error')]);
      if (String(said[0]).startsWith('mounted')) {
        disk.keeper = keeper;
        disk.dir = path.join(`/proc/${keeper.pid}/root`, dir);
        return disk;
      }
    }
    disk.denied = true;
    disk.dir = dir;
    return disk;
  }

  async fill() {
    if (this.denied) return;
    const file = await fs.promises.open(path.join(this.dir, 'ballast'), 'w');
    try {
      for (;;) await file.write(CHUNK);
    } catch (error) {
      if (error.code !== 'ENOSPC') throw error;
    } finally {
      await file.close();
    }
  }

  empty() {
    fs.rmSync(path.join(this.dir, 'ballast'), { force: true });
  }

  async unmount() {
    if (!this.keeper) return;
    const gone = once(this.keeper, 'exit');
    this.keeper.stdin.end();
    await gone;
  }
}
