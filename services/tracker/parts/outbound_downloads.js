// Calls found() with each link that is clicked, also with another button, and wherever in it.
function onLink(found) {
  function clicked(event) {
    var link = event.composedPath().find((node) => { return node.host && node.href; });
    if (link && event.button < 2) found(link);
  }
  on('click', clicked);
  on('auxclick', clicked);
}
