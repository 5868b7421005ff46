// Operates every panel as a reader would and reports the results.
plots.ready.then(() => {
  const report = { wrong, panels: [], sliders: [] };
  const picture = (panel) => panel.canvas.toDataURL();
  const pointer = (panel, type, [x, y]) => {
    const rect = panel.canvas.getBoundingClientRect();
    const Kind = type === 'dblclick' ? MouseEvent : PointerEvent;
    panel.canvas.dispatchEvent(new Kind(type, { clientX: rect.left + x, clientY: rect.top + y, bubbles: true, pointerId: 1, button: 0 }));
  };
  // The points drawn on the canvas for each mark, mapped back to data coordinates.
  const record = (panel) => {
    const out = {};
    let index = null;
    const proto = CanvasRenderingContext2D.prototype;
    const saved = {};
    const back = (px, py) => {
      if (panel.solid) return [(px - panel.map.center[0]) / panel.map.size, (panel.map.center[1] - py) / panel.map.size];
      const [left, top, w, h] = panel.over;
      const along = ([low, high], log, at) => (log ? Math.log10(low) + at * Math.log10(high / low) : low + at * (high - low));
      return [along(panel.seenRange.x, panel.spec.x.log, (px - left) / w), along(panel.seenRange.y, panel.spec.y.log, 1 - (py - top) / h)];
    };
    const take = (...points) => {
      if (index !== null) (out[index] ??= []).push(...points.map(([x, y]) => back(x, y)));
    };
    const points = {
      moveTo: (x, y) => take([x, y]),
      lineTo: (x, y) => take([x, y]),
      arc: (x, y) => take([x, y]),
      drawImage: (_, x, y, w, h) => take([x, y], [x + w, y + h]),
    };
    for (const name of Object.keys(points)) {
      saved[name] = proto[name];
      proto[name] = function (...args) {
        points[name](...args);
        return saved[name].apply(this, args);
      };
    }
    plots.mark = (_, i) => { index = i; };
    panel.draw();
    plots.mark = null;
    Object.assign(proto, saved);
    return out;
  };
  const middleOf = (panel) => {
    if (panel.solid) {
      const corner = panel.corners[Math.floor(panel.corners.length / 2)];
      return [corner.at.slice(0, 2), corner.data[0]];
    }
    for (const { mark } of panel.seen()) {
      const { shape } = mark;
      if (shape === 'line' || shape === 'points' || shape === 'arrows') {
        const i = Math.floor(mark.x.length / 2);
        if (mark.y[i] !== null) return [panel.at(mark.x[i], mark.y[i]), mark.x[i]];
      }
      if (shape === 'bars') {
        const i = mark.heights.indexOf(Math.max(...mark.heights));
        const x = (mark.edges[i] + mark.edges[i + 1]) / 2;
        return [panel.at(x, mark.heights[i] / 2), x];
      }
      if (shape === 'image' || shape === 'heat') return [[panel.over[0] + panel.over[2] / 2, panel.over[1] + panel.over[3] / 2], 0];
    }
    return null;
  };
  for (const panel of plots.panels) {
    const entry = { drawn: record(panel), labels: panel.misplaced() };
    const target = middleOf(panel);
    if (target) {
      pointer(panel, 'pointermove', target[0]);
      const tip = panel.tip.hidden ? '' : panel.tip.innerText;
      const rows = [...panel.tip.children].filter((row) => row.textContent.includes(' = '));
      const value = rows.length ? Number(rows[0].textContent.split(' = ')[1].replace('−', '-')) : null;
      entry.hover = { target: target[1], tip, value };
      pointer(panel, 'pointerleave', target[0]);
    }
    const before = picture(panel);
    const [left, top, w, h] = panel.over;
    pointer(panel, 'pointerdown', [left + 0.3 * w, top + 0.3 * h]);
    pointer(panel, 'pointermove', [left + 0.6 * w, top + 0.7 * h]);
    pointer(panel, 'pointerup', [left + 0.6 * w, top + 0.7 * h]);
    const after = picture(panel);
    entry.turned = panel.solid && after !== before && panel.view.azimuth !== 0.62;
    const [low, high] = panel.range.x;
    const wide = (high - low) / (panel.home.x[1] - panel.home.x[0]);
    entry.zoomed = !panel.solid && after !== before && (panel.spec.x.log || Math.abs(wide - 0.3) < 0.15);
    pointer(panel, 'dblclick', [left + 1, top + 1]);
    entry.restored = picture(panel) === before;
    report.panels.push(entry);
  }
  for (const bar of document.querySelectorAll('.slider')) {
    const [input, output] = [bar.querySelector('input'), bar.querySelector('output')];
    const own = plots.panels.filter((panel) => bar.parentElement.contains(panel.canvas));
    const [before, pictures] = [output.textContent, own.map(picture)];
    input.value = input.value === '0' ? input.max : '0';
    input.dispatchEvent(new Event('input'));
    const moved = own.some((panel, i) => picture(panel) !== pictures[i]);
    report.sliders.push({ label: bar.textContent, before, after: output.textContent, moved });
  }
  const listed = plots.panels.find((panel) => panel.legend.children.length);
  const shown = picture(listed);
  listed.legend.children[0].click();
  report.legend = picture(listed) !== shown && listed.legend.children[0].getAttribute('aria-pressed') === 'false';
  const theme = document.documentElement.dataset.theme;
  document.getElementById('theme').click();
  report.dark = document.documentElement.dataset.theme !== theme;
  done(report);
});
