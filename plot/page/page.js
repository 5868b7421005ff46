// Draws the figures of a page on canvases, with tooltips, zoom, rotation and sliders.
(() => {
  'use strict';
  const { figures, themes } = JSON.parse(document.getElementById('figures').textContent);
  const root = document.documentElement;
  const TALL = 0.7;
  const START = { azimuth: 0.62, elevation: 0.42 };
  const FONT = '12px system-ui, sans-serif';
  let palette = themes.light;
  const panels = [];
  const hooks = { panels, mark: null };
  window.plots = hooks;

  // ---- numbers and colors

  const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
  const along = ([low, high], log, v) =>
    log ? (Math.log10(v) - Math.log10(low)) / (Math.log10(high) - Math.log10(low)) : (v - low) / (high - low);
  const back = ([low, high], log, w) => (log ? low * (high / low) ** w : low + w * (high - low));
  const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const shade = (rgb, by) => rgb.map((c) => clamp(Math.round(c * by), 0, 255));
  const css = (rgb, opacity = 1) => `rgba(${rgb.join()},${opacity})`;
  const steps = themes.light.scale.map(channels);
  const scale = (at) => {
    const p = clamp(Number.isFinite(at) ? at : 0, 0, 1) * 15;
    const i = Math.min(Math.floor(p), 14);
    return [0, 1, 2].map((c) => Math.round(steps[i][c] * (1 - p + i) + steps[i + 1][c] * (p - i)));
  };
  const rgbOf = (color) => {
    if (color === 'ink' || color === 'muted') return channels(palette[color]);
    if ('scale' in color) return scale(color.scale);
    return channels(palette.series[color.series % 7]);
  };
  const superscript = (i) => String(i).replace(/./g, (c) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[c] ?? '⁻');
  const powerOfTen = (text) => {
    const [front, power] = text.split('e');
    return `${String(+front).replace('-', '−')}×10${superscript(Number(power))}`;
  };
  const digit = (v) => Math.floor(Math.log10(Math.abs(v)) + 1e-9);
  const words = (v, step) => {
    if (Math.abs(v) < step * 1e-6) v = 0;
    if (v === 0 && step < 1e-4) return '0';
    if (v !== 0 && (Math.abs(v) >= 1e5 || step < 1e-4)) return powerOfTen(v.toExponential(clamp(digit(v) - digit(step), 0, 15)));
    return v.toFixed(clamp(-digit(step), 0, 12)).replace('-', '−');
  };
  const say = (v) => {
    if (!Number.isFinite(v)) return '–';
    const size = Math.abs(v);
    if (size !== 0 && (size >= 1e6 || size < 1e-4)) return powerOfTen(v.toExponential(3));
    return String(+v.toPrecision(5)).replace('-', '−');
  };
  const plain = (v) => (v !== 0 && (Math.abs(v) >= 1e7 || Math.abs(v) < 1e-4) ? powerOfTen(v.toExponential()) : String(v).replace('-', '−'));
  const ticks = ([low, high], log, count) => {
    const out = [];
    const [first, last] = log ? [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)] : [0, 0];
    if (log && high > 8 * low && 3 * Math.max(last - first + 1, 1) <= count) {
      for (let i = first - 1; i <= last; i++)
        for (const m of [1, 2, 5]) {
          const v = m * 10 ** i;
          if (v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9))
            out.push([v, Math.abs(i) <= 3 ? v.toFixed(Math.max(-i, 0)) : `${m === 1 ? '' : `${m}×`}10${superscript(i)}`]);
        }
      return out;
    }
    if (last > first) {
      const stride = Math.max(Math.ceil((last - first) / Math.max(count, 1)), 1);
      for (let i = Math.ceil(first / stride) * stride; i <= last; i += stride)
        out.push([10 ** i, Math.abs(i) <= 3 ? String(+(10 ** i).toFixed(3)) : `10${superscript(i)}`]);
      return out;
    }
    const rough = (high - low) / Math.max(count, 1);
    if (!(rough > 0)) return out;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((m) => m * power >= rough * 0.999);
    for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9); i++)
      if (!log || i * step > 0) out.push([i * step, words(i * step, step)]);
    return out;
  };
  const ticksOf = (axis, range, count) => {
    const own = (axis.ticks ?? []).filter((v) => range[0] <= v && v <= range[1]).map((v) => [v, plain(v)]);
    return own.length > 1 ? own : ticks(range, axis.log, count);
  };
  const ends = (values) => values.reduce(([a, b], v) => [Math.min(a, v ?? a), Math.max(b, v ?? b)], [Infinity, -Infinity]);

  // ---- a panel

  // The parts of a surface over a cell of the grid. A bent cell is two triangles whose common side is the higher diagonal:
  // a crest that runs diagonally to the grid is then a line, and not a saw.
  const BENT = 0.001;
  const facets = (four, range) => {
    if (!four.flat().every(Number.isFinite)) return [];
    const bend = four[0][2] + four[2][2] - four[1][2] - four[3][2];
    if (Math.abs(bend) <= BENT * (range[1] - range[0])) return [{ corners: four, triangle: false }];
    const first = bend < 0 ? 1 : 0;
    return [first, first + 2].map((from) => ({ corners: [0, 1, 2].map((i) => four[(from + i) % 4]), triangle: true }));
  };

  class Panel {
    constructor(spec, figure) {
      Object.assign(this, { spec, figure, hidden: new Set(), view: { ...START, zoom: 1 }, point: null, box: null });
      this.home = { x: spec.x.range, y: spec.y.range };
      this.range = { ...this.home };
      this.solid = Boolean(spec.z);
      const make = (tag, name, parent) => {
        const node = document.createElement(tag);
        if (name) node.className = name;
        return parent.appendChild(node);
      };
      this.node = make('div', spec.bare ? 'panel bare' : 'panel', figure.grid);
      if (spec.title) make('h3', '', this.node).textContent = spec.title;
      if (spec.note) make('p', 'note', this.node).textContent = spec.note;
      this.legend = make('div', 'legend', this.node);
      this.holder = make('div', 'holder', this.node);
      this.canvas = make('canvas', this.solid ? 'solid' : '', this.holder);
      this.canvas.setAttribute('role', 'img');
      this.canvas.setAttribute('aria-label', [spec.title, spec.y.label && `${spec.y.label} over ${spec.x.label}`].filter(Boolean).join(': '));
      this.tip = make('div', 'tip', this.holder);
      this.tip.setAttribute('role', 'status');
      for (const mark of spec.marks) this.prepare(mark);
      this.listen();
    }

    // Decodes images, and paints heat maps once.
    prepare(mark) {
      if (mark.shape === 'image') {
        mark.bitmap = new Image();
        mark.bitmap.src = mark.pixels;
        hooks.loading.push(mark.bitmap.decode());
      } else if (mark.shape === 'heat') {
        const [w, h, range] = [mark.x.length, mark.y.length, this.values(mark.values)];
        mark.bitmap = Object.assign(document.createElement('canvas'), { width: w, height: h });
        const image = new ImageData(w, h);
        mark.values.forEach((v, k) => {
          const at = (h - 1 - Math.floor(k / w)) * w + (k % w);
          image.data.set([...scale(along(range, false, v)), 255], at * 4);
        });
        mark.bitmap.getContext('2d').putImageData(image, 0, 0);
      }
    }

    values(of) {
      return this.spec.scale ? this.spec.scale.range : ends(of);
    }

    seen() {
      const frame = this.figure.frame;
      return this.spec.marks.map((mark, index) => ({ mark, index }))
        .filter(({ mark }) => (mark.frame === undefined || mark.frame === frame) && !this.hidden.has(mark.name));
    }

    list() {
      const names = new Map();
      for (const mark of this.spec.marks)
        if (mark.name && mark.legend && (mark.frame === undefined || mark.frame === this.figure.frame) && !names.has(mark.name)) names.set(mark.name, mark);
      this.legend.replaceChildren(...[...names].map(([name, mark]) => {
        const entry = document.createElement('button');
        const swatch = entry.appendChild(document.createElement('i'));
        const color = css(rgbOf(mark.color), Math.max(mark.opacity, 0.4));
        const kind = { points: 'dot', cloud: 'dot', area: 'block', bars: 'block' }[mark.shape] ?? 'stroke';
        swatch.className = kind;
        if (kind === 'stroke') swatch.style.borderTop = `${Math.max(mark.width, 1.5)}px ${mark.dashed ? 'dashed' : 'solid'} ${color}`;
        else swatch.style.background = color;
        entry.append(name);
        entry.setAttribute('aria-pressed', String(!this.hidden.has(name)));
        entry.onclick = () => {
          if (!this.hidden.delete(name)) this.hidden.add(name);
          this.list();
          this.draw();
        };
        return entry;
      }));
    }

    draw() {
      const { spec, canvas } = this;
      const width = this.holder.clientWidth;
      if (!width) return;
      const bar = spec.scale ? 68 : 0;
      const top = spec.scale ? 20 : 6;
      let [left, right, bottom] = spec.bare ? [4, 4 + bar, 4] : this.solid ? [4, 4 + bar, 6] : [62, 12 + bar, 46];
      const inside = () => Math.max(width - left - right, 20);
      this.boxes = [];
      this.g = canvas.getContext('2d');
      this.g.font = FONT;
      // Wide enough for the ticks, which depend on the length of the axes.
      if (spec.scale) right = Math.max(right, right - bar + 35 + this.widest(ticks(spec.scale.range, false, Math.floor((inside() * spec.aspect) / 48))));
      for (let i = 0; i < 3 && !spec.bare && !this.solid; i++) {
        this.over = [left, top, inside(), inside() * spec.aspect];
        const { x, y } = this.fit();
        const [, , w, h] = this.over;
        left = Math.max(left, this.widest(ticksOf(spec.y, y, Math.floor(h / 48))) + 27);
        for (const [v, word] of ticksOf(spec.x, x, Math.max(Math.floor(w / 75), 4))) {
          const beyond = this.g.measureText(word).width / 2 - w * (1 - along(x, spec.x.log, v)) + 2;
          right = Math.max(right, Math.min(beyond, 0.3 * width) + bar);
        }
      }
      const inner = inside();
      const height = inner * spec.aspect;
      const density = window.devicePixelRatio || 1;
      const whole = top + height + bottom;
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(whole * density);
      canvas.style.height = `${whole}px`;
      const { g } = this;
      g.setTransform(density, 0, 0, density, 0, 0);
      g.clearRect(0, 0, width, whole);
      g.font = FONT;
      g.lineJoin = 'round';
      this.over = [left, top, inner, height];
      this.size = [width, whole];
      if (spec.scale) this.scaleBar([left + inner + 14, top, 12, height], width - left - inner - 14);
      if (this.solid) this.drawSpace();
      else this.drawPlane();
    }

    widest(list) {
      return Math.max(0, ...list.map(([, word]) => this.g.measureText(word).width));
    }

    long(text, size) {
      this.g.font = `${size}px system-ui, sans-serif`;
      const { width } = this.g.measureText(text);
      this.g.font = FONT;
      return width;
    }

    // The text and font size at which it is at most so wide: smaller, and from three quarters on without its middle.
    fitted(text, size, wide) {
      const natural = this.long(text, size);
      let out = [text, size];
      if (natural > wide) {
        const less = size * Math.max(wide / natural, 0.75);
        out = [text, less];
        const letters = [...text];
        for (let kept = letters.length - 1; kept > 0 && this.long(out[0], less) > wide + 1e-6; kept--)
          out[0] = `${letters.slice(0, Math.ceil(kept / 2)).join('')}…${letters.slice(letters.length - Math.floor(kept / 2)).join('')}`;
      }
      return out;
    }

    // Draws a text and returns whether it did: with `apart`, only where it covers no other.
    words(text, x, y, { align = 'center', color = palette.muted, size = 12, up = false, apart = false } = {}) {
      const g = this.g;
      const long = this.long(text, size);
      const before = { left: 0, center: long / 2, right: long }[align];
      const [above, below] = [0.8 * size, 0.22 * size];
      const box = up ? [x - above, y - long + before, x + below, y + before] : [x - before, y - above, x - before + long, y + below];
      const clear = ([l, t, r, b]) => box[2] < l || r < box[0] || box[3] < t || b < box[1];
      if (apart && !this.boxes.every((other) => clear(other.box))) return false;
      if (text) this.boxes.push({ text, box });
      g.save();
      g.translate(x, y);
      if (up) g.rotate(-Math.PI / 2);
      g.font = `${size}px system-ui, sans-serif`;
      g.textAlign = align;
      g.fillStyle = color;
      g.fillText(text, 0, 0);
      g.restore();
      return true;
    }

    // The texts that the canvas cuts or that cover one another.
    misplaced() {
      const [w, h] = this.size;
      const out = this.boxes.filter(({ box: [l, t, r, b] }) => l < 0 || t < -1 || r > w || b > h).map(({ text }) => `cut: ${text}`);
      const over = ([l, t, r, b], [x, y, z, u]) => l + 1 < z && x + 1 < r && t + 1 < u && y + 1 < b;
      this.boxes.forEach((a, i) => this.boxes.slice(i + 1).forEach((b) => over(a.box, b.box) && out.push(`covered: ${a.text} / ${b.text}`)));
      return out;
    }

    rule(from, to, color, width = 1) {
      const g = this.g;
      g.beginPath();
      g.moveTo(...from);
      g.lineTo(...to);
      g.strokeStyle = color;
      g.lineWidth = width;
      g.stroke();
    }

    trace(points, closed) {
      const g = this.g;
      g.beginPath();
      let pen = false;
      for (const [x, y] of points) {
        if (!Number.isFinite(x) || !Number.isFinite(y)) pen = false;
        else if (pen) g.lineTo(x, y);
        else {
          g.moveTo(x, y);
          pen = true;
        }
      }
      if (closed) g.closePath();
    }

    scaleBar([x, y, w, h], after) {
      const g = this.g;
      const { label, range } = this.spec.scale;
      for (let i = 0; i < 64; i++) {
        g.fillStyle = css(scale((63 - i) / 63));
        g.fillRect(x, y + (i * h) / 64, w, h / 64 + 0.6);
      }
      for (const [v, word] of ticks(range, false, Math.floor(h / 48))) {
        const py = y + h * (1 - along(range, false, v));
        this.rule([x + w, py], [x + w + 4, py], palette.muted);
        this.words(word, x + w + 7, py + 4, { align: 'left' });
      }
      const [text, size] = this.fitted(label, 12, 2 * after);
      const half = this.long(text, size) / 2;
      this.words(text, x + Math.min(w, after - half), y - 8, { color: palette.ink, size });
    }

    // ---- the plane

    fit() {
      let { x, y } = this.range;
      if (this.spec.equal) {
        const [, , w, h] = this.over;
        const least = Math.min(w / (x[1] - x[0]), h / (y[1] - y[0]));
        const widen = (r, long) => {
          const more = (long / least - (r[1] - r[0])) / 2;
          return [r[0] - more, r[1] + more];
        };
        [x, y] = [widen(x, w), widen(y, h)];
      }
      return { x, y };
    }

    at(px, py) {
      const [left, top, w, h] = this.over;
      if (px === null || py === null) return [NaN, NaN];
      return [left + w * along(this.seenRange.x, this.spec.x.log, px), top + h * (1 - along(this.seenRange.y, this.spec.y.log, py))];
    }

    drawPlane() {
      const { g, spec } = this;
      const [left, top, w, h] = this.over;
      this.seenRange = this.fit();
      const { x, y } = this.seenRange;
      if (!spec.bare) {
        g.fillStyle = palette.ground;
        g.fillRect(left, top, w, h);
        // A label that would touch its neighbor is left out.
        let free = -Infinity;
        for (const [v, word] of ticksOf(spec.x, x, Math.max(Math.floor(w / 75), 4))) {
          const px = left + w * along(x, spec.x.log, v);
          this.rule([px, top], [px, top + h], palette.grid);
          const half = g.measureText(word).width / 2;
          if (px - half > free) {
            this.words(word, px, top + h + 16);
            free = px + half + 5;
          }
        }
        const marks = ticksOf(spec.y, y, Math.floor(h / 48));
        free = Infinity;
        for (const [v, word] of marks) {
          const py = top + h * (1 - along(y, spec.y.log, v));
          this.rule([left, py], [left + w, py], palette.grid);
          if (py + 6 < free) {
            this.words(word, left - 6, py + 4, { align: 'right' });
            free = py - 7;
          }
        }
        const widest = this.widest(marks);
        this.rule([left, top], [left, top + h], palette.muted);
        this.rule([left, top + h], [left + w, top + h], palette.muted);
        const [across, small] = this.fitted(spec.x.label, 13, w + 12);
        this.words(across, left + w / 2, top + h + 36, { color: palette.ink, size: small });
        const [upward, size] = this.fitted(spec.y.label, 13, h + 12);
        this.words(upward, left - 15 - widest, top + Math.max(h / 2, this.long(upward, size) / 2 - 4), { color: palette.ink, size, up: true });
      }
      const clip = () => {
        g.save();
        g.beginPath();
        g.rect(left - 1, top - 1, w + 2, h + 2);
        g.clip();
      };
      for (const { mark, index } of this.seen()) {
        // Dots are whole: those whose middle is outside are not drawn.
        if (mark.shape === 'points') g.save();
        else clip();
        hooks.mark?.(this, index);
        this.flat(mark);
        hooks.mark?.(this, null);
        g.restore();
      }
      clip();
      if (this.point?.at) {
        g.beginPath();
        g.arc(...this.point.at, 5, 0, 7);
        g.strokeStyle = palette.ink;
        g.lineWidth = 1.5;
        g.stroke();
      }
      if (this.box) {
        const [a, b] = this.box;
        g.fillStyle = css(channels(palette.muted), 0.2);
        g.fillRect(a[0], a[1], b[0] - a[0], b[1] - a[1]);
      }
      g.restore();
    }

    flat(mark) {
      const g = this.g;
      const [left, top, w, h] = this.over;
      const color = css(rgbOf(mark.color), mark.opacity);
      const line = (points, stroke = color) => {
        this.trace(points, false);
        g.strokeStyle = stroke;
        g.lineWidth = mark.width;
        g.setLineDash(mark.dashed ? [6, 4] : []);
        g.stroke();
        g.setLineDash([]);
      };
      switch (mark.shape) {
        case 'line':
          return line(mark.x.map((x, i) => this.at(x, mark.y[i])));
        case 'area': {
          const there = mark.x.map((x, i) => this.at(x, mark.high[i]));
          const again = mark.x.map((x, i) => this.at(x, mark.low[i])).reverse();
          this.trace([...there, ...again], true);
          g.fillStyle = color;
          return g.fill();
        }
        case 'points': {
          const range = this.values(mark.value);
          mark.x.forEach((x, i) => {
            const [px, py] = this.at(x, mark.y[i]);
            if (!(px >= left - 0.5 && px <= left + w + 0.5 && py >= top - 0.5 && py <= top + h + 0.5)) return;
            g.beginPath();
            g.arc(px, py, mark.width / 2, 0, 7);
            g.fillStyle = mark.value.length ? css(scale(along(range, false, mark.value[i])), mark.opacity) : color;
            g.fill();
          });
          return undefined;
        }
        case 'bars':
          mark.heights.forEach((height, i) => {
            const [[x0, y0], [x1, y1]] = [this.at(mark.edges[i], 0), this.at(mark.edges[i + 1], height)];
            this.trace([[x0, y1], [x1, y1], [x1, y0], [x0, y0]], true);
            g.fillStyle = color;
            g.fill();
            g.strokeStyle = palette.ground;
            g.lineWidth = 0.6;
            g.stroke();
          });
          return undefined;
        case 'arrows':
          mark.x.forEach((x, i) => {
            const [from, to] = [this.at(x, mark.y[i]), this.at(x + mark.u[i], mark.y[i] + mark.v[i])];
            const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
            const long = Math.max(Math.hypot(dx, dy), 1e-9);
            const head = Math.min(0.35 * long, 6);
            const barb = (side) => [to[0] - (head * (dx - 0.5 * side * dy)) / long, to[1] - (head * (dy + 0.5 * side * dx)) / long];
            line([from, to, [NaN, NaN], barb(1), to, barb(-1)]);
          });
          return undefined;
        case 'vertical': {
          const px = this.at(mark.at, 1)[0];
          return line([[px, top], [px, top + h]]);
        }
        case 'horizontal': {
          const py = this.at(1, mark.at)[1];
          return line([[left, py], [left + w, py]]);
        }
        case 'text':
        {
          const [px, py] = this.at(mark.x, mark.y);
          if (!Number.isFinite(px) || !Number.isFinite(py)) return undefined;
          // Within the panel: smaller if it is too long, and moved if it is near the end.
          const [text, size] = this.fitted(mark.text, 13, w - 4);
          const long = this.long(text, size);
          const before = { start: 0, middle: long / 2, end: long }[mark.anchor];
          const from = Math.max(Math.min(px - before, left + w - 2 - long), left + 2);
          return this.words(text, from, py, { align: 'left', color, size });
        }
        case 'contours': {
          const range = this.values(mark.values);
          for (const level of mark.levels) {
            const own = typeof mark.color === 'object' && 'scale' in mark.color;
            line(level.x.map((x, i) => this.at(x, level.y[i])), own ? css(scale(along(range, false, level.value)), mark.opacity) : color);
          }
          return undefined;
        }
        case 'heat':
        case 'image': {
          const half = (v) => (v.length > 1 ? (v[1] - v[0]) / 2 : 0.5);
          const span = (v) => (mark.shape === 'image' ? v : [v[0] - half(v), v[v.length - 1] + half(v)]);
          const [[x0, x1], [y0, y1]] = [span(mark.x), span(mark.y)];
          const [a, b] = [this.at(x0, y1), this.at(x1, y0)];
          g.imageSmoothingEnabled = mark.shape === 'heat';
          return g.drawImage(mark.bitmap, a[0], a[1], b[0] - a[0], b[1] - a[1]);
        }
        default:
          return undefined;
      }
    }

    // ---- the box

    project() {
      const [left, top, w, h] = this.over;
      const ranges = [this.spec.x.range, this.spec.y.range, this.spec.z.range];
      const { azimuth, elevation, zoom } = this.view;
      const [sin, cos, up, level] = [Math.sin(azimuth), Math.cos(azimuth), Math.sin(elevation), Math.cos(elevation)];
      const side = this.widest(ticks(ranges[2], false, 5)) + 28;
      const size = Math.max(Math.min((w - 2 * side) / 1.45, (h - 56) / (TALL * level + Math.SQRT2 * Math.abs(up))), 1) * zoom;
      const center = [left + w / 2, top + 10 + (h - 56) / 2];
      const at = (point) => {
        const [u, v, t] = point.map((p, i) => (p - ranges[i][0]) / (ranges[i][1] - ranges[i][0]) - 0.5);
        const [across, away] = [u * cos + v * sin, v * cos - u * sin];
        return [center[0] + across * size, center[1] - (t * TALL * level + away * up) * size, away * level - t * TALL * up];
      };
      const far = [ranges[0][sin < 0 ? 1 : 0], ranges[1][cos > 0 ? 1 : 0], ranges[2][elevation < 0 ? 1 : 0]];
      const other = (axis, end) => (end === ranges[axis][0] ? ranges[axis][1] : ranges[axis][0]);
      const light = (a, b, c) => {
        const unit = (p) => p.map((v, i) => ((v - ranges[i][0]) / (ranges[i][1] - ranges[i][0])) * (i === 2 ? TALL : 1));
        const [o, p, q] = [unit(a), unit(b), unit(c)];
        const [e, f] = [p.map((v, i) => v - o[i]), q.map((v, i) => v - o[i])];
        const n = [e[1] * f[2] - e[2] * f[1], e[2] * f[0] - e[0] * f[2], e[0] * f[1] - e[1] * f[0]];
        const toward = ((-0.45 * n[0] - 0.35 * n[1] + 0.82 * n[2]) * (n[2] < 0 ? -1 : 1)) / Math.max(Math.hypot(...n), 1e-300);
        return 0.72 + 0.36 * Math.max(toward, 0);
      };
      return { at, far, other, light, ranges, size, center, side };
    }

    drawSpace() {
      const { g, spec } = this;
      const map = this.project();
      this.map = map;
      const flat = (point) => map.at(point).slice(0, 2);
      const edgeColor = css(shade(channels(palette.grid), 0.9));
      for (let wall = 0; wall < 3; wall++) {
        const [p, q] = [(wall + 1) % 3, (wall + 2) % 3];
        const corner = (a, b) => {
          const point = [...map.far];
          [point[p], point[q]] = [map.ranges[p][a], map.ranges[q][b]];
          return flat(point);
        };
        this.trace([corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 1)], true);
        g.fillStyle = palette.ground;
        g.fill();
        g.strokeStyle = edgeColor;
        g.lineWidth = 1;
        g.stroke();
        for (const [run, across] of [[p, q], [q, p]]) {
          for (const [v] of ticks(map.ranges[run], false, 5)) {
            const end = (b) => {
              const point = [...map.far];
              [point[run], point[across]] = [v, map.ranges[across][b]];
              return flat(point);
            };
            this.rule(end(0), end(1), palette.grid);
          }
        }
      }
      const names = [];
      [spec.x, spec.y, spec.z].forEach(({ label }, axis) => {
        let edge = map.ranges.map((r) => r[0]);
        if (axis < 2) edge[1 - axis] = map.other(1 - axis, map.far[1 - axis]);
        else {
          const corners = [0, 1, 2, 3].map((c) => [map.ranges[0][c & 1], map.ranges[1][c >> 1], edge[2]]);
          edge = corners.reduce((a, b) => (flat(b)[0] < flat(a)[0] ? b : a));
        }
        const middle = [...edge];
        middle[axis] = (map.ranges[axis][0] + map.ranges[axis][1]) / 2;
        const ends = map.ranges[axis].map((v) => {
          const point = [...edge];
          point[axis] = v;
          return flat(point);
        });
        const edgeLength = Math.hypot(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]);
        const inside = [...middle];
        if (axis < 2) inside[1 - axis] = map.far[1 - axis];
        const [from, to] = [flat(middle), flat(inside)];
        const [dx, dy] = [from[0] - to[0], from[1] - to[1]];
        const long = Math.max(Math.hypot(dx, dy), 1e-9);
        const out = ([x, y], by) => (axis === 2 ? [x - by, y + 4] : [x + (dx / long) * by, y + (dy / long) * by * 0.9 + 5]);
        for (const [v, word] of ticks(map.ranges[axis], false, 5)) {
          const point = [...edge];
          point[axis] = v;
          this.words(word, ...out(flat(point), axis === 2 ? 6 : 13), { align: axis === 2 ? 'right' : 'center', apart: true });
        }
        names.push(() => {
          const [left, top, w, h] = this.over;
          const [text, size] = this.fitted(label, 13, axis === 2 ? Math.min(h, 1.2 * edgeLength) : w / 2);
          const half = this.long(text, size) / 2;
          if (axis === 2) {
            const y = Math.min(Math.max(from[1], top + half), top + h - half);
            return this.words(text, from[0] - map.side + 13, y, { color: palette.ink, size, up: true });
          }
          // Farther out if ticks are in the way.
          return [36, 42, 48].some((by) => {
            const [x, y] = out(from, by);
            return this.words(text, Math.min(Math.max(x, left + half), left + w - half), y, { color: palette.ink, size, apart: true });
          });
        });
      });
      for (const name of names) name();
      const things = [];
      this.corners = [];
      for (const { mark, index } of this.seen()) {
        const rgb = mark.color && rgbOf(mark.color);
        const add = (depth, paint) => things.push({ depth, paint, index });
        const [xs, ys, zs] = [mark.x, mark.y, mark.z];
        if (mark.shape === 'surface') {
          const range = spec.scale ? spec.scale.range : map.ranges[2];
          const n = xs.length;
          zs.forEach((z, k) => this.corners.push({ mark, at: map.at([xs[k % n], ys[Math.floor(k / n)], z]), data: [xs[k % n], ys[Math.floor(k / n)], z] }));
          for (let j = 0; j + 1 < ys.length; j++) {
            for (let i = 0; i + 1 < n; i++) {
              const four = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]].map(([p, q]) => [xs[p], ys[q], zs[q * n + p]]);
              for (const { corners, triangle } of facets(four, range)) {
                const shown = corners.map(map.at);
                const high = corners.reduce((sum, c) => sum + c[2], 0) / corners.length;
                const light = map.light(corners[0], corners[1], corners[corners.length - 1]);
                const fill = shade(scale(along(range, false, high)), light);
                add(shown.reduce((sum, s) => sum + s[2], 0) / shown.length, () => {
                  const dark = css(shade(fill, 0.86), mark.opacity);
                  this.trace(shown, true);
                  g.fillStyle = css(fill, mark.opacity);
                  g.fill();
                  g.strokeStyle = triangle ? g.fillStyle : dark;
                  g.lineWidth = 0.7;
                  g.stroke();
                  if (!triangle) return;
                  this.trace(shown, false);
                  g.strokeStyle = dark;
                  g.stroke();
                });
              }
            }
          }
        } else if (mark.shape === 'curve') {
          const seen = xs.map((x, i) => map.at([x, ys[i], zs[i]]));
          seen.forEach((s, i) => this.corners.push({ mark, at: s, data: [xs[i], ys[i], zs[i]] }));
          if (mark.floor !== null) {
            const all = [...seen, ...xs.map((x, i) => map.at([x, ys[i], mark.floor])).reverse()];
            add(all.reduce((sum, s) => sum + s[2], 0) / all.length, () => {
              this.trace(all, true);
              g.fillStyle = css(rgb, mark.opacity * 0.22);
              g.fill();
            });
          }
          for (let i = 0; i + 1 < seen.length; i++) {
            add((seen[i][2] + seen[i + 1][2]) / 2, () => {
              g.lineCap = 'round';
              this.trace([seen[i], seen[i + 1]], false);
              g.strokeStyle = css(rgb, mark.opacity);
              g.lineWidth = mark.width;
              g.stroke();
            });
          }
        } else if (mark.shape === 'cloud') {
          xs.forEach((x, i) => {
            const s = map.at([x, ys[i], zs[i]]);
            this.corners.push({ mark, at: s, data: [x, ys[i], zs[i]] });
            add(s[2], () => {
              g.beginPath();
              g.arc(s[0], s[1], mark.width / 2, 0, 7);
              g.fillStyle = css(rgb, mark.opacity);
              g.fill();
            });
          });
        }
      }
      things.sort((a, b) => b.depth - a.depth);
      for (const thing of things) {
        hooks.mark?.(this, thing.index);
        thing.paint();
      }
      hooks.mark?.(this, null);
      if (this.point?.at) {
        g.beginPath();
        g.arc(this.point.at[0], this.point.at[1], 5, 0, 7);
        g.strokeStyle = palette.ink;
        g.lineWidth = 1.5;
        g.stroke();
      }
    }

    // ---- pointing

    nearest(px, py) {
      let best = { far: 26 };
      const offer = (far, at, mark, rows) => {
        if (far < best.far) best = { far, at, mark, rows };
      };
      const [lx, ly] = [this.spec.x.label || 'x', this.spec.y.label || 'y'];
      if (this.solid) {
        for (const { mark, at, data } of this.corners) {
          const far = Math.hypot(at[0] - px, at[1] - py) + 4 * at[2];
          offer(far, at, mark, [[lx, data[0]], [ly, data[1]], [this.spec.z.label || 'z', data[2]]]);
        }
        return best.rows ? best : null;
      }
      const [left, top, w, h] = this.over;
      const x = back(this.seenRange.x, this.spec.x.log, (px - left) / w);
      const y = back(this.seenRange.y, this.spec.y.log, 1 - (py - top) / h);
      const dots = (mark, xs, ys, more = () => []) => xs.forEach((vx, i) => {
        const at = this.at(vx, ys[i]);
        offer(Math.hypot(at[0] - px, at[1] - py), at, mark, [[lx, vx], [ly, ys[i]], ...more(i)]);
      });
      for (const { mark } of this.seen()) {
        if (mark.silent) continue;
        if (mark.shape === 'line') dots(mark, mark.x, mark.y);
        else if (mark.shape === 'points') dots(mark, mark.x, mark.y, (i) => (mark.value.length ? [[this.spec.scale?.label ?? 'value', mark.value[i]]] : []));
        else if (mark.shape === 'area') dots(mark, mark.x, mark.high);
        else if (mark.shape === 'arrows') dots(mark, mark.x, mark.y, (i) => [['Δx', mark.u[i]], ['Δy', mark.v[i]]]);
        else if (mark.shape === 'vertical') offer(Math.abs(this.at(mark.at, 1)[0] - px) + 6, null, mark, [[lx, mark.at]]);
        else if (mark.shape === 'horizontal') offer(Math.abs(this.at(1, mark.at)[1] - py) + 6, null, mark, [[ly, mark.at]]);
        else if (mark.shape === 'bars') {
          const i = mark.edges.findIndex((e, k) => k + 1 < mark.edges.length && e <= x && x < mark.edges[k + 1]);
          if (i >= 0 && y >= Math.min(0, mark.heights[i]) && y <= Math.max(0, mark.heights[i]))
            offer(14, null, mark, [[`${lx} from`, mark.edges[i]], ['to', mark.edges[i + 1]], [ly, mark.heights[i]]]);
        } else if (mark.shape === 'heat' || mark.shape === 'contours') {
          const near = (list, v) => list.reduce((b, e, i) => (Math.abs(e - v) < Math.abs(list[b] - v) ? i : b), 0);
          const [i, j] = [near(mark.x, x), near(mark.y, y)];
          offer(20, null, mark, [[lx, mark.x[i]], [ly, mark.y[j]], [this.spec.scale?.label ?? 'value', mark.values[j * mark.x.length + i]]]);
        } else if (mark.shape === 'image' && x >= mark.x[0] && x < mark.x[1] && y >= mark.y[0] && y < mark.y[1]) {
          const [cx, cy] = [Math.floor(x), Math.floor(mark.y[1] - y)];
          if (!mark.copy) {
            mark.copy = Object.assign(document.createElement('canvas'), { width: mark.bitmap.naturalWidth, height: mark.bitmap.naturalHeight }).getContext('2d', { willReadFrequently: true });
            mark.copy.drawImage(mark.bitmap, 0, 0);
          }
          const [r, g, b] = mark.copy.getImageData(cx, cy, 1, 1).data;
          offer(25, null, mark, [['column', cx], ['row', cy], ['red', r], ['green', g], ['blue', b]]);
        }
      }
      return best.rows ? best : null;
    }

    show(px, py) {
      this.point = this.nearest(px, py);
      this.tip.hidden = !this.point;
      if (this.point) {
        const { mark, rows } = this.point;
        this.tip.replaceChildren(...[mark.name && [mark.name], ...rows].filter(Boolean).map(([name, value]) => {
          const row = document.createElement('div');
          if (value === undefined) row.className = 'name';
          row.textContent = value === undefined ? name : `${name} = ${say(value)}`;
          return row;
        }));
        const right = px > this.holder.clientWidth / 2;
        this.tip.style.left = right ? '' : `${px + 14}px`;
        this.tip.style.right = right ? `${this.holder.clientWidth - px + 14}px` : '';
        this.tip.style.top = `${Math.max(py - 20, 0)}px`;
      }
      this.draw();
    }

    listen() {
      const { canvas } = this;
      let from = null;
      const where = (event) => {
        const rect = canvas.getBoundingClientRect();
        return [event.clientX - rect.left, event.clientY - rect.top];
      };
      canvas.addEventListener('pointerdown', (event) => {
        if (event.button) return;
        from = { at: where(event), view: { ...this.view } };
        try { canvas.setPointerCapture(event.pointerId); } catch { /* the pointer no longer exists */ }
        this.tip.hidden = true;
        this.point = null;
      });
      canvas.addEventListener('pointermove', (event) => {
        const at = where(event);
        if (!from) return this.show(...at);
        if (this.solid) {
          this.view.azimuth = from.view.azimuth - (at[0] - from.at[0]) * 0.01;
          this.view.elevation = clamp(from.view.elevation + (at[1] - from.at[1]) * 0.01, 0, Math.PI / 2);
        } else if (!this.spec.bare && Math.hypot(at[0] - from.at[0], at[1] - from.at[1]) > 4) this.box = [from.at, at];
        return this.draw();
      });
      const release = () => {
        from = null;
        if (this.box) {
          const [left, top, w, h] = this.over;
          const [a, b] = this.box;
          this.box = null;
          const part = (p, q, start, long, flip) => {
            const [low, high] = [Math.min(p, q), Math.max(p, q)].map((v) => clamp((v - start) / long, 0, 1));
            return flip ? [1 - high, 1 - low] : [low, high];
          };
          const [wx, wy] = [part(a[0], b[0], left, w, false), part(a[1], b[1], top, h, true)];
          if ((wx[1] - wx[0]) * w > 8 && (wy[1] - wy[0]) * h > 8) {
            const { x, y } = this.seenRange;
            this.range = { x: wx.map((v) => back(x, this.spec.x.log, v)), y: wy.map((v) => back(y, this.spec.y.log, v)) };
          }
          this.draw();
        }
      };
      canvas.addEventListener('pointerup', release);
      canvas.addEventListener('pointercancel', release);
      canvas.addEventListener('pointerleave', () => {
        this.tip.hidden = true;
        this.point = null;
        this.draw();
      });
      canvas.addEventListener('dblclick', () => {
        this.range = { ...this.home };
        this.view = { ...START, zoom: 1 };
        this.draw();
      });
      canvas.addEventListener('wheel', (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        const by = Math.exp(clamp(event.deltaY, -100, 100) * 0.004);
        if (this.solid) this.view.zoom = clamp(this.view.zoom / by, 0.3, 8);
        else if (!this.spec.bare) {
          const [left, top, w, h] = this.over;
          const [px, py] = where(event);
          const about = (range, log, w) => [w - w * by, w + (1 - w) * by].map((v) => back(range, log, v));
          const { x, y } = this.seenRange;
          this.range = { x: about(x, this.spec.x.log, (px - left) / w), y: about(y, this.spec.y.log, 1 - (py - top) / h) };
        }
        this.draw();
      }, { passive: false });
    }
  }

  // ---- a figure and its slider

  hooks.loading = [];
  for (const holder of document.querySelectorAll('[data-figure]')) {
    const spec = figures[Number(holder.dataset.figure)];
    const figure = { frame: spec.slider ? spec.slider.start : 0, grid: document.createElement('div') };
    figure.grid.className = 'grid';
    figure.grid.style.setProperty('--columns', Math.min(spec.columns, spec.panels.length));
    if (Math.min(spec.columns, spec.panels.length) === 1 && !spec.wide) figure.grid.classList.add('single');
    if (spec.panels.every((panel) => panel.bare)) figure.grid.classList.add('bare');
    if (spec.title) holder.appendChild(document.createElement('h2')).textContent = spec.title;
    const own = [];
    const redraw = () => own.forEach((panel) => { panel.point = null; panel.tip.hidden = true; panel.list(); panel.draw(); });
    if (spec.slider) {
      const bar = holder.appendChild(document.createElement('div'));
      bar.className = 'slider';
      const play = bar.appendChild(document.createElement('button'));
      const label = bar.appendChild(document.createElement('label'));
      label.textContent = spec.slider.label;
      const input = label.appendChild(document.createElement('input'));
      Object.assign(input, { type: 'range', min: 0, max: spec.slider.values.length - 1, step: 1, value: figure.frame });
      const output = bar.appendChild(document.createElement('output'));
      const set = (frame) => {
        figure.frame = frame;
        input.value = frame;
        output.textContent = spec.slider.values[frame];
        redraw();
      };
      let timer = 0;
      const stop = () => { clearInterval(timer); timer = 0; play.textContent = '▶'; play.setAttribute('aria-label', 'play'); };
      stop();
      input.oninput = () => { stop(); set(Number(input.value)); };
      play.onclick = () => {
        if (timer) return stop();
        play.textContent = '⏸';
        play.setAttribute('aria-label', 'pause');
        timer = setInterval(() => set((figure.frame + 1) % spec.slider.values.length), Math.max(60, 4000 / spec.slider.values.length));
        return undefined;
      };
      figure.set = set;
      output.textContent = spec.slider.values[figure.frame];
    }
    holder.appendChild(figure.grid);
    for (const panel of spec.panels) own.push(new Panel(panel, figure));
    panels.push(...own);
    const hint = holder.appendChild(document.createElement('p'));
    hint.className = 'hint';
    hint.textContent = ['Hover for values.', spec.panels.some((p) => !p.z && !p.bare) && 'Drag to zoom.',
      spec.panels.some((p) => p.z) && 'Drag a surface to rotate it.', 'Double-click to reset.'].filter(Boolean).join(' ');
  }

  // ---- light and dark

  const choose = (name) => {
    root.dataset.theme = name;
    palette = themes[name];
    for (const key of ['paper', 'ground', 'ink', 'muted', 'grid']) root.style.setProperty(`--${key}`, palette[key]);
    root.style.setProperty('--accent', palette.series[0]);
    for (const panel of panels) { panel.list(); panel.draw(); }
  };
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', () => choose(dark.matches ? 'dark' : 'light'));
  document.getElementById('theme').onclick = () => choose(root.dataset.theme === 'dark' ? 'light' : 'dark');
  choose(location.hash === '#dark' || dark.matches ? 'dark' : 'light');
  hooks.ready = Promise.all(hooks.loading).then(() => panels.forEach((panel) => panel.draw()));
  // Drawn after the observer has returned: a canvas that changes its height is a change of layout too.
  let wide = document.body.clientWidth;
  new ResizeObserver(() => {
    if (document.body.clientWidth === wide) return;
    wide = document.body.clientWidth;
    requestAnimationFrame(() => panels.forEach((panel) => panel.draw()));
  }).observe(document.body);
})();
