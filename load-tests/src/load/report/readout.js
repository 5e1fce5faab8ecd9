// Shows the values under the pointer in each chart's legend. Without it the page lacks nothing else.
"use strict";
for (const svg of document.querySelectorAll("svg[data-series]")) {
  const { length_s, left, right, lines } = JSON.parse(svg.dataset.series);
  const figure = svg.closest("figure");
  const slots = figure.querySelectorAll("[data-value]");
  const at = figure.querySelector("[data-at]");
  const cursor = svg.querySelector(".cursor");
  const digits = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 4 });

  const nearest = (points, second) => {
    let low = 0;
    let high = points.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < second) low = middle;
      else high = middle;
    }
    const [a, b] = [points[low], points[high]];
    return a && (!b || second - a[0] <= b[0] - second ? a : b);
  };

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const place = Math.min(Math.max(x, left), right);
    const second = ((place - left) / (right - left)) * length_s;
    cursor.setAttribute("x1", place);
    cursor.setAttribute("x2", place);
    cursor.setAttribute("visibility", "visible");
    at.textContent = `at ${digits.format(second)} s, in `;
    lines.forEach((points, index) => {
      const point = nearest(points, second);
      slots[index].textContent = point && point[1] !== null ? digits.format(point[1]) : "–";
    });
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    at.textContent = "";
    for (const slot of slots) slot.textContent = "";
  });
}
