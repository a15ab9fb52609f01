// The query editor: tabs that survive reloads and errors, history, saved queries (all in localStorage of this browser),
// CodeMirror in place of the text area, and runs that can be cancelled.  Without it the form still works.
const script = document.getElementById("query-script");
const form = document.getElementById("query");
const field = (name) => form.elements.namedItem(name);
const by = (id) => document.getElementById(id);
const NAMES = ["cluster", "endpoint", "at", "with", "with_at", "sql", "cap"];
const HISTORY_MAX = 200;

// --- what is kept ----------------------------------------------------------------------------------------------------
function load(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`clusterdb.${key}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}
function keep(key, value) {
  try {
    localStorage.setItem(`clusterdb.${key}`, JSON.stringify(value));
  } catch (error) {
    by("state").textContent = `the browser keeps nothing (${error.name}): tabs end with this page`;
  }
}

let tabs = load("tabs", []);
let active = load("active", 0);
let editor = null;

function present() {
  const values = Object.fromEntries(NAMES.map((name) => [name, field(name)?.value ?? ""]));
  values.parameters = Object.fromEntries(
    [...form.elements].filter((item) => /^[pk]:/.test(item.name)).map((item) => [item.name, item.value]),
  );
  return values;
}

function keepTabs() {
  tabs[active] = { ...tabs[active], ...present() };
  keep("tabs", tabs);
  keep("active", active);
  const query = new URLSearchParams();
  for (const name of NAMES) {
    const value = tabs[active][name];
    if (value && !(name === "endpoint" && value === "writer") && !(name === "cap" && value === "100")) query.set(name, value);
  }
  const url = `/query?${query}`;
  history.replaceState(history.state, "", url.length < 6000 ? url : `/query?cluster=${encodeURIComponent(tabs[active].cluster)}`);
}

// --- tabs ------------------------------------------------------------------------------------------------------------
function title(tab) {
  const text = (tab.sql ?? "").replace(/--[^\n]*/g, " ").trim().replace(/\s+/g, " ");
  return tab.name || text.slice(0, 24) || "empty";
}

function drawTabs() {
  const list = by("tabs");
  const focused = list.contains(document.activeElement);
  list.replaceChildren(
    ...tabs.map((tab, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.role = "tab";
      button.id = `tab-${index}`;
      button.textContent = title(tab);
      button.ariaSelected = String(index === active);
      button.tabIndex = index === active ? 0 : -1;
      button.setAttribute("aria-controls", "query");
      button.addEventListener("click", () => choose(index));
      return button;
    }),
  );
  if (focused) list.children[active]?.focus();
}

by("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  choose((active + step + tabs.length) % tabs.length);
});

function choose(index) {
  if (index !== active) keepTabs();
  active = index;
  show(tabs[active]);
  keepTabs();
  drawTabs();
}

function show(tab) {
  for (const name of NAMES) {
    const item = field(name);
    if (!item) continue;
    const value = tab[name] ?? "";
    if (item.tagName === "SELECT" && value && ![...item.options].some((option) => option.value === value)) {
      if (name === "endpoint") item.add(new Option(value, value));
      else continue; // a database that was deleted
    }
    if (item.tagName !== "SELECT" || value) item.value = value;
    else item.selectedIndex = 0;
  }
  if (editor) editor.text = tab.sql ?? "";
  for (const [name, value] of Object.entries(tab.parameters ?? {})) waiting.set(name, value);
  askParameters();
  askNames();
}

by("add-tab").addEventListener("click", () => {
  keepTabs();
  tabs.push({ cluster: field("cluster").value, sql: "" });
  choose(tabs.length - 1);
  (editor ?? field("sql")).focus();
});
by("close-tab").addEventListener("click", () => {
  tabs.splice(active, 1);
  if (!tabs.length) tabs.push({ cluster: field("cluster").value, sql: "" });
  active = Math.min(active, tabs.length - 1);
  show(tabs[active]);
  keepTabs();
  drawTabs();
});

// --- parameters and names --------------------------------------------------------------------------------------------
const waiting = new Map();
let asking = 0;

async function askParameters() {
  const number = ++asking;
  const known = present().parameters;
  const response = await fetch("/query/parameters", {
    method: "POST",
    headers: { "HX-Request": "true" },
    body: new URLSearchParams(new FormData(form)),
  });
  const text = await response.text();
  if (number !== asking) return;
  by("parameters").innerHTML = text;
  for (const [name, value] of [...Object.entries(known), ...waiting]) {
    const item = field(name);
    if (item) item.value = value;
  }
  waiting.clear();
}

let named = "";
async function askNames() {
  const name = field("cluster").value;
  const query = new URLSearchParams(field("at").value ? { at: field("at").value } : {});
  const url = `/query/names/${encodeURIComponent(name)}?${query}`;
  if (!name || url === named) return;
  named = url;
  const response = await fetch(url, { headers: { "HX-Request": "true" } });
  if (!response.ok) return;
  const { engine, tables, endpoints } = await response.json();
  editor?.speak(engine, tables);
  const endpoint = field("endpoint");
  const chosen = endpoint.value;
  endpoint.replaceChildren(...endpoints.map((name) => new Option(name, name)));
  if (endpoints.includes(chosen)) endpoint.value = chosen;
}

let timer = 0;
function changed() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    keepTabs();
    drawTabs();
    askParameters();
  }, 300);
}

form.addEventListener("input", (event) => {
  if (/^[pk]:/.test(event.target.name) || event.target.name !== "sql") keepTabs();
  else changed();
});
for (const name of ["cluster", "at"]) field(name).addEventListener("change", askNames);

// --- running ---------------------------------------------------------------------------------------------------------
let running = null;

async function run(path, button) {
  if (running) return;
  editor?.closeList();
  keepTabs();
  remember();
  const body = new URLSearchParams(new FormData(form, button?.name ? button : undefined));
  const id = crypto.randomUUID?.() ?? String(Math.random()).slice(2);
  body.set("run", id);
  const whole = field("sql").value;
  if (editor) body.set("sql", chosenText ?? whole);
  running = id;
  by("cancel").disabled = false;
  by("state").textContent = "running";
  by("result").ariaBusy = "true";
  try {
    const response = await fetch(path, { method: "POST", headers: { "HX-Request": "true" }, body });
    by("result").innerHTML = await response.text();
    htmx.process(by("result"));
    by("state").textContent = response.ok ? "" : "that did not work";
  } catch (error) {
    by("state").textContent = "";
    by("result").innerHTML = '<p class="error" role="alert">the server does not answer: start it again, the query is kept</p>';
  } finally {
    running = null;
    by("cancel").disabled = true;
    by("result").ariaBusy = "false";
  }
}

field("sql").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(by("run"));
});

let chosenText = null;
document.addEventListener(
  "submit",
  (event) => {
    if (event.target !== form) return;
    const button = event.submitter;
    const path = button?.getAttribute("formaction") || form.getAttribute("action");
    if (button?.classList.contains("export")) {
      field("run").value = "";
      remember();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    chosenText = editor && !button?.dataset.part ? editor.chosen : chosenText;
    run(path, button);
  },
  true,
);

by("cancel").addEventListener("click", async () => {
  if (!running) return;
  const body = new URLSearchParams({ token: field("token").value, run: running });
  const response = await fetch("/query/cancel", { method: "POST", headers: { "HX-Request": "true" }, body });
  by("state").textContent = new DOMParser().parseFromString(await response.text(), "text/html").body.textContent.trim();
});

// --- history and saved queries ---------------------------------------------------------------------------------------
function remember() {
  const entry = { sql: field("sql").value, cluster: field("cluster").value, at: field("at").value, time: Date.now() };
  if (!entry.sql.trim()) return;
  const entries = load("history", []).filter((other) => other.sql !== entry.sql || other.cluster !== entry.cluster);
  keep("history", [entry, ...entries].slice(0, HISTORY_MAX));
  drawKept();
}

function entryLine(entry, label, remove) {
  const item = document.createElement("li");
  const open = document.createElement("button");
  open.type = "button";
  open.className = "link";
  open.textContent = label;
  open.addEventListener("click", () => {
    keepTabs();
    tabs.push({ sql: entry.sql, cluster: entry.cluster, at: entry.at ?? "", name: entry.name });
    choose(tabs.length - 1);
    (editor ?? field("sql")).focus();
  });
  item.append(open);
  if (remove) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "small";
    button.textContent = "Delete";
    button.ariaLabel = `Delete ${label}`;
    button.addEventListener("click", remove);
    item.append(" ", button);
  }
  return item;
}

function drawKept() {
  const entries = load("history", []);
  by("history").replaceChildren(
    ...entries.map((entry) =>
      entryLine(entry, `${new Date(entry.time).toLocaleString()}  ${entry.cluster}${entry.at ? `@${entry.at}` : ""}  ${title(entry)}`),
    ),
  );
  const saved = load("saved", []);
  by("saved").replaceChildren(
    ...saved.map((entry, index) =>
      entryLine(entry, `${entry.name} (${entry.cluster})`, () => {
        keep("saved", saved.toSpliced(index, 1));
        drawKept();
      }),
    ),
  );
}

by("clear-history").addEventListener("click", () => {
  keep("history", []);
  drawKept();
});
by("save").addEventListener("click", () => {
  by("save-name").value = tabs[active].name || title(tabs[active]);
  by("save-dialog").showModal();
});
by("save-dialog").addEventListener("close", () => {
  const dialog = by("save-dialog");
  if (dialog.returnValue !== "save") return;
  const name = by("save-name").value.trim();
  const others = load("saved", []).filter((entry) => entry.name !== name);
  keep("saved", [...others, { name, sql: field("sql").value, cluster: field("cluster").value, at: field("at").value }]);
  tabs[active].name = name;
  keepTabs();
  drawTabs();
  drawKept();
  by("saved-box").open = true;
});

// --- begin -----------------------------------------------------------------------------------------------------------
async function begin() {
  const given = new URLSearchParams(location.search);
  const asked = Object.fromEntries(NAMES.filter((name) => given.has(name)).map((name) => [name, given.get(name)]));
  const isSame = (tab) => tab && NAMES.every((name) => !(name in asked) || (tab[name] ?? "") === asked[name]);
  active = Math.min(active, Math.max(tabs.length - 1, 0));
  if (!tabs.length) {
    tabs = [{ ...present(), ...asked }];
    active = 0;
  } else if (Object.keys(asked).length && !isSame(tabs[active])) {
    const same = tabs.findIndex(isSame);
    if (same >= 0 && "sql" in asked) active = same;
    else {
      const empty = tabs.findIndex((tab) => !tab.sql?.trim());
      const tab = { ...present(), ...asked, sql: asked.sql ?? "", parameters: {} };
      if (empty >= 0) tabs[(active = empty)] = tab;
      else active = tabs.push(tab) - 1;
    }
  }
  by("tab-bar").hidden = by("save").hidden = by("kept").hidden = false;
  show(tabs[active]);
  drawTabs();
  drawKept();
  keepTabs();
  try {
    const { create } = await import(script.dataset.editor);
    const wasFocused = document.activeElement === field("sql");
    by("editor").hidden = false;
    field("sql").hidden = true;
    document.querySelector('label[for="sql"]').hidden = true;
    editor = create({
      parent: by("editor"),
      text: field("sql").value, // typed meanwhile, perhaps
      label: "SQL",
      changed: (text) => {
        field("sql").value = text;
        chosenText = null;
        changed();
      },
      run: () => form.requestSubmit(by("run")),
    });
    if (wasFocused) editor.focus();
    named = "";
    askNames();
  } catch (error) {
    by("state").textContent = "the editor could not be loaded: the plain text field works as well";
  }
}
begin();
