// What a keyboard and a screen reader gain when scripts run. Every page works without.
document.addEventListener("DOMContentLoaded", () => {
  const wanted = document.querySelector("[data-focus]");
  if (wanted) wanted.focus();
  for (const area of document.querySelectorAll("textarea[data-most]")) {
    const left = document.createElement("p");
    left.className = "hint";
    const tell = () => {
      const most = Number(area.dataset.most), number = [...area.value.trim()].length;
      left.textContent = `${number} / ${most}`;
      left.classList.toggle("error", number > most);
    };
    area.insertAdjacentElement("afterend", left);
    area.addEventListener("input", tell);
    tell();
  }
  const all = document.querySelector("[data-all]");
  if (all) {
    all.closest("label").hidden = false;
    all.addEventListener("change", () => {
      for (const box of document.querySelectorAll('input[name="d"]')) box.checked = all.checked;
    });
  }
  const keys = document.querySelector("[data-keys]");
  if (keys) document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    const link = /^[1-5]$/.test(event.key) && keys.querySelectorAll("a")[Number(event.key) - 1];
    if (link) { event.preventDefault(); link.click(); }
  });
});
// A draft that could not be kept: the session is over, or the server is away.
for (const failure of ["htmx:responseError", "htmx:sendError"]) document.addEventListener(failure, () => {
  const saved = document.querySelector("#saved[data-failed]");
  if (saved) saved.textContent = saved.dataset.failed;
});
