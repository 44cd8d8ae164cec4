/** Runs `work` shortly after `ring()`, never twice at once; rings meanwhile lead to one more run. */
export class Doorbell {
  constructor(work, delayMs) {
    this.work = work;
    this.delayMs = delayMs;
    this.timer = null;
    this.running = false;
    this.again = false;
    this.stopped = false;
  }

  ring() {
    if (this.running) this.again = true;
    else if (!this.stopped && this.timer === null) this.timer = setTimeout(() => this.answer(), this.delayMs);
  }

  async answer() {
    this.timer = null;
    this.running = true;
    try {
      await this.work();
    } finally {
      this.running = false;
      if (this.again) {
        this.again = false;
        this.ring();
      }
    }
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }
}
