// The fleet on a map. What it shows comes from the GeoJSON list, within the bounds and for the zoom that one looks at.
"use strict";
(function () {
  const atlas = document.getElementById("atlas");
  const data = atlas.dataset;
  const labels = JSON.parse(data.labels);
  const state = document.getElementById("state");
  const REFRESH = 5000; // milliseconds between two questions for what is new
  const DEEPEST = 19; // from here on there are no clusters
  const FIRST = data.tiles ? 13 : 5; // how close one looks at first: as long as there is something around
  const ORDER = ["error", "modified", "deactivating", "applied", "deactivated", "none"];
  const SYMBOLS = { error: "!", modified: "…", deactivating: "↓", applied: "✓", deactivated: "×", none: "–" };
  const DETAIL = "/api/v1/controller/location/";
  const filters = new URLSearchParams(location.search);
  filters.delete("page");

  atlas.hidden = false;
  const map = L.map("map", { minZoom: 1, maxZoom: DEEPEST, maxBounds: [[-85.06, -180], [85.06, 180]], maxBoundsViscosity: 1, zoomControl: true });
  map.attributionControl.setPrefix(false);
  L.control.scale({ imperial: false }).addTo(map);
  if (data.tiles) {
    const credit = document.createElement("span");
    credit.textContent = data.attribution;
    L.tileLayer(data.tiles, { attribution: credit.innerHTML, maxZoom: DEEPEST, noWrap: true }).addTo(map);
  } else {
    map.createPane("world").style.zIndex = 150;
    const renderer = L.svg({ pane: "world", padding: 0.5 });
    fetch(data.world).then((answer) => answer.json()).then((world) => {
      L.geoJSON(world, { interactive: false, renderer, pane: "world", style: (feature) => ({ className: feature.properties.kind, color: "", weight: 1, fill: feature.properties.kind === "land", fillOpacity: 1, opacity: 1 }) }).addTo(map);
    });
  }

  // What a mark stands for: a cluster, or the locations at one point.
  const features = new Map();
  const marks = new Map();
  let cursor = null;
  let asked = null;

  const svg = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined && text !== null) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const short = (number) => number < 1000 ? String(number) : number < 10000 ? (number / 1000).toFixed(1).replace(/\.0$/, "") + "k" : Math.round(number / 1000) + "k";
  const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

  // The middle of whatever a geometry is.
  const middle = (geometry) => {
    if (!geometry) return null;
    if (geometry.type === "Point") return [geometry.coordinates[1], geometry.coordinates[0]];
    const around = (eastwards) => L.geoJSON(geometry, { coordsToLatLng: ([x, y]) => L.latLng(y, eastwards && x < 0 ? x + 360 : x) }).getBounds();
    const width = (box) => box.getEast() - box.getWest();
    // As the server does it: across the antimeridian, if that is narrower.
    const [plain, crossing] = [around(false), around(true)];
    if (!plain.isValid()) return null;
    const { lat, lng } = (width(crossing) < width(plain) ? crossing : plain).getCenter();
    return [lat, lng > 180 ? lng - 360 : lng];
  };

  const grouped = () => {
    const groups = new Map();
    for (const feature of features.values()) {
      const at = middle(feature.geometry);
      if (!at) continue;
      if (feature.properties.cluster) { groups.set(feature.id, { at, cluster: feature, all: [] }); continue; }
      const key = map.getZoom() >= DEEPEST ? at.map((each) => each.toFixed(6)).join() : feature.id;
      const group = groups.get(key) || { at, cluster: null, all: [] };
      group.all.push(feature);
      groups.set(key, group);
    }
    return groups;
  };

  const statuses = (group) => {
    const counts = {};
    for (const feature of group.cluster ? [group.cluster] : group.all) {
      for (const [name, count] of Object.entries(feature.properties.device_status || {})) counts[name] = (counts[name] || 0) + count;
    }
    return ORDER.filter((name) => counts[name]).map((name) => [name, counts[name]]);
  };

  const picture = (group, counts) => {
    const total = counts.reduce((sum, [, count]) => sum + count, 0);
    const places = group.cluster ? group.cluster.properties.point_count : group.all.length;
    const several = places > 1;
    const size = several ? Math.min(52, 30 + Math.round(6 * Math.log10(places))) : 28;
    const width = several ? 5 : 4.5;
    const radius = size / 2 - width / 2 - 1;
    const around = 2 * Math.PI * radius;
    const drawn = svg("svg", { width: size, height: size, viewBox: `0 0 ${size} ${size}`, "aria-hidden": "true" });
    drawn.append(svg("circle", { class: "disc", cx: size / 2, cy: size / 2, r: size / 2 - 1 }));
    let start = 0;
    for (const [name, count] of counts) {
      const part = around * count / total;
      drawn.append(svg("circle", {
        class: `rim rim-${name}`, cx: size / 2, cy: size / 2, r: radius, "stroke-width": width, "stroke-dasharray": `${part} ${around - part}`,
        "stroke-dashoffset": -start, transform: `rotate(-90 ${size / 2} ${size / 2})`,
      }));
      start += part;
    }
    const text = svg("text", { x: size / 2, y: size / 2 + 0.5 });
    text.textContent = several ? short(places) : total > 1 ? short(total) : counts.length ? SYMBOLS[counts[0][0]] : "";
    drawn.append(text);
    return { drawn, size };
  };

  const words = (counts) => counts.map(([name, count]) => `${count} ${labels[name] || name}`).join(", ") || "no devices";

  const card = (feature) => {
    const place = feature.properties;
    const made = element("section");
    const head = element("h3");
    head.append(element("a", place.name || "(no name)", { href: `${DETAIL}${encodeURIComponent(feature.id)}/` }));
    made.append(head);
    if (place.address) made.append(element("p", place.address));
    made.append(element("p", `${place.type}${place.is_mobile ? ", mobile" : ""} · ${plural(place.device_count, "device")}`));
    const badges = element("p");
    for (const [name, count] of statuses({ all: [feature] })) {
      badges.append(element("span", `${count} ${labels[name] || name}`, { class: `badge status-${name}` }), " ");
    }
    made.append(badges);
    const links = element("p", "", { class: "links" });
    links.append(element("a", place.type === "indoor" ? "Floor plans and devices" : "Devices", { href: `/map/location/${encodeURIComponent(feature.id)}/` }));
    made.append(links);
    return made;
  };

  const popup = (group) => {
    const made = element("div");
    if (group.cluster) made.append(element("p", `${plural(group.cluster.properties.point_count, "location")}: ${words(statuses(group))}`));
    for (const feature of group.all) made.append(card(feature));
    return made;
  };

  const open = (mark) => {
    const group = mark.group;
    if (!group.cluster) return;
    const [west, south, east, north] = group.cluster.bbox;
    const bounds = L.latLngBounds([south, west], [north, east]);
    const zoom = Math.max(map.getZoom() + 1, Math.min(DEEPEST, map.getBoundsZoom(bounds.pad(0.2))));
    map.setView(bounds.getCenter(), Math.min(DEEPEST, zoom));
  };

  const draw = () => {
    const groups = grouped();
    for (const [key, mark] of marks) if (!groups.has(key)) { mark.remove(); marks.delete(key); }
    for (const [key, group] of groups) {
      const counts = statuses(group);
      const looks = JSON.stringify([counts, group.all.map((each) => each.properties.name), group.cluster && group.cluster.properties.point_count]);
      let mark = marks.get(key);
      if (!mark) {
        mark = L.marker(group.at, { keyboard: true, riseOnHover: true });
        mark.on("click", () => open(mark));
        mark.on("keypress", (event) => { if (event.originalEvent.key === "Enter") open(mark); });
        marks.set(key, mark);
      }
      mark.group = group;
      mark.setLatLng(group.at);
      if (mark.looks !== looks) {
        mark.looks = looks;
        const { drawn, size } = picture(group, counts);
        mark.setIcon(L.divIcon({ html: drawn, className: "mark", iconSize: [size, size] }));
        if (group.cluster) mark.unbindPopup();
        else mark.bindPopup(() => popup(mark.group), { maxWidth: 290, minWidth: 190, autoPanPadding: [12, 12] });
      }
      if (!map.hasLayer(mark)) mark.addTo(map);
      const name = group.cluster ? `${plural(group.cluster.properties.point_count, "location")}` : group.all.map((each) => each.properties.name).join(", ");
      const shown = mark.getElement();
      shown.setAttribute("aria-label", `${name}: ${words(counts)}`);
      shown.title = name;
    }
  };

  const say = (text, failed = false) => {
    if (state.textContent !== text) state.textContent = text;
    state.classList.toggle("failed", failed);
  };

  const ask = async (extra) => {
    const query = new URLSearchParams(filters);
    for (const [key, value] of Object.entries({ device_status: "true", ...extra })) query.set(key, value);
    const answer = await fetch(`${data.geojson}?${query}`, { headers: { Accept: "application/json" }, signal: asked.signal });
    if (answer.status === 401 || answer.status === 403) throw new Error("Your session has ended: log in again.");
    if (!answer.ok) throw new Error("The map cannot be brought up to date. It is tried again.");
    return answer.json();
  };

  const view = () => {
    const bounds = map.getBounds().pad(0.1);
    const within = (value, limit) => Math.max(-limit, Math.min(limit, value)).toFixed(6);
    const box = [within(bounds.getWest(), 180), within(bounds.getSouth(), 90), within(bounds.getEast(), 180), within(bounds.getNorth(), 90)];
    return { bbox: box.join(), zoom: Math.floor(map.getZoom()) };
  };

  const load = async (since) => {
    if (asked) asked.abort();
    const mine = asked = new AbortController();
    try {
      const body = await ask({ ...view(), since });
      if (mine !== asked) return;
      if (body.complete) features.clear();
      for (const id of body.removed) features.delete(id);
      for (const feature of body.features) features.set(feature.id, feature);
      cursor = body.cursor;
      draw();
      const more = body.next ? " The first ones are shown: zoom in for the others." : "";
      say(`${plural(body.count, "location")} in view.${more}`);
    } catch (error) {
      if (error.name === "AbortError") return;
      say(error instanceof TypeError ? "The server cannot be reached. It is tried again." : error.message, true);
      cursor = cursor || "";
    } finally {
      if (mine === asked) asked = null;
    }
  };

  const remember = () => {
    const { lat, lng } = map.getCenter();
    history.replaceState(null, "", `#${map.getZoom()}/${lat.toFixed(5)}/${lng.toFixed(5)}`);
  };

  const begin = async () => {
    const [zoom, latitude, longitude] = location.hash.slice(1).split("/").map(Number);
    if ([zoom, latitude, longitude].every(Number.isFinite) && location.hash) map.setView([latitude, longitude], zoom);
    else {
      map.setView([25, 5], 2);
      asked = new AbortController();
      try {
        const all = L.latLngBounds([]);
        for (const feature of (await ask({ zoom: 1 })).features) {
          if (feature.bbox) all.extend([feature.bbox[1], feature.bbox[0]]).extend([feature.bbox[3], feature.bbox[2]]);
          else if (middle(feature.geometry)) all.extend(middle(feature.geometry));
        }
        if (all.isValid()) map.fitBounds(all.pad(0.15), { maxZoom: FIRST, animate: false });
      } catch { /* load says what is wrong */ }
    }
    map.on("moveend", () => { remember(); load(""); });
    await load("");
    setInterval(() => { if (!document.hidden && !asked && cursor !== null) load(cursor); }, REFRESH);
    document.addEventListener("visibilitychange", () => { if (!document.hidden && !asked && cursor !== null) load(cursor); });
  };
  begin();
})();
