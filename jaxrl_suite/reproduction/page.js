// Filters live in the address, so that a view can be linked to: #paper=qarl&verdict=differs
const form = document.getElementById("filters");
const items = [...document.querySelectorAll(".item")];

function wanted() {
  return Object.fromEntries(["paper", "agents", "environments", "verdict"].map((name) => [name, form.elements[name].value]));
}

function isShown(item, filters) {
  const has = (name) => !filters[name] || item.dataset[name].split("|").includes(filters[name]);
  return has("paper") && has("agents") && has("environments");
}

function apply() {
  const filters = wanted();
  let shown = 0;
  let cells = 0;
  for (const item of items) {
    let own = 0;
    for (const row of item.querySelectorAll("tr[data-verdict]")) {
      row.hidden = Boolean(filters.verdict) && row.dataset.verdict !== filters.verdict;
      own += row.hidden ? 0 : 1;
    }
    item.hidden = !isShown(item, filters) || own === 0;
    shown += item.hidden ? 0 : 1;
    cells += item.hidden ? 0 : own;
  }
  document.getElementById("shown").textContent = `${shown} of ${items.length} items, ${cells} cells`;
}

function fromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(wanted())) form.elements[name].value = asked.get(name) ?? "";
  apply();
}

form.addEventListener("change", () => {
  const set = Object.entries(wanted()).filter(([, value]) => value);
  history.replaceState(null, "", "#" + new URLSearchParams(set));
  apply();
});
window.addEventListener("hashchange", fromAddress);

const root = document.documentElement;
root.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
document.getElementById("theme").addEventListener("click", () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
});
fromAddress();
