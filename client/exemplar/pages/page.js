// What the pages share: their data, elements by id, numbers and names as words, images. Comes first in each page.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const element = id => document.getElementById(id);
const number = value => value.toLocaleString("en");
const some = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;
const percent = share => `${Math.round(share * 100)} %`;
// Its direction stays its own: no name turns the words around it.
function named(text) {
  const made = document.createElement("bdi");
  made.textContent = text;
  return made;
}
// The images, as page_images.py writes them. Browsers tell JPEG, PNG and WebP apart by themselves.
const hasThumbnail = i => data.rest[i] !== "";
const thumbnail = i => `data:image/jpeg;base64,${data.starts[data.start[i]]}${data.rest[i]}`;
