// The hidden states of a text, one column of H whole numbers from -127 to 127 a timestep.

export class Columns {
  #values = new Int8Array(0);

  height = 0; // H
  length = 0; // timesteps

  // Begin again with columns of another height.
  clear(height) {
    this.height = height;
    this.length = 0;
  }

  // Whether there was anything to take away.
  truncate(length) {
    const longer = this.length > length;
    if (longer) this.length = length;
    return longer;
  }

  // Columns `from`, `from` + 1, …; a gap before them is refused.
  put(from, columns) {
    if (from > this.length) return false;
    this.length = Math.max(this.length, from + columns.length);
    this.#reserve(this.length * this.height);
    columns.forEach((column, index) => this.#values.set(column, (from + index) * this.height));
    return true;
  }

  at(timestep, unit) {
    return this.#values[timestep * this.height + unit] / 127;
  }

  // Column by column, from `first` up to `end`.
  window(first, end) {
    return this.#values.subarray(first * this.height, end * this.height);
  }

  // The unit whose values differ most along the text.
  mostVaried() {
    let best = 0;
    let most = -1;
    for (let unit = 0; unit < this.height; unit += 1) {
      const variance = this.#variance(unit);
      if (variance > most) [best, most] = [unit, variance];
    }
    return best;
  }

  #variance(unit) {
    let sum = 0;
    let squares = 0;
    for (let t = 0; t < this.length; t += 1) {
      const value = this.at(t, unit);
      sum += value;
      squares += value * value;
    }
    return this.length ? squares / this.length - (sum / this.length) ** 2 : 0;
  }

  #reserve(size) {
    if (size <= this.#values.length) return;
    const larger = new Int8Array(Math.max(size, 2 * this.#values.length));
    larger.set(this.#values);
    this.#values = larger;
  }
}
