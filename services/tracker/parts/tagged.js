// Events that the page's elements name, by attributes (data-footfall-event, -event-NAME, -revenue) or by Plausible's classes.
function tagOf(node) {
  var event = { props: {} };
  Array.from(node.attributes || []).forEach((attribute) => {
    var found = /^data-footfall-(event|revenue)(?:-(.+))?$/.exec(attribute.name);
    if (!found) return;
    if (found[1] === 'revenue') {
      var amount = attribute.value.trim().split(/\s+/);
      event.revenue = { amount: amount[0], currency: amount[1] };
    } else if (found[2]) event.props[found[2]] = attribute.value;
    else event.name = attribute.value;
  });
  (node.classList || []).forEach((name) => {
    var found = /^plausible-event-(.+?)(=|--)(.+)/.exec(name), value = found && found[3].replace(/\+/g, ' ');
    if (!found) return;
    if (found[1] === 'name') event.name = value;
    else event.props[found[1]] = value;
  });
  return event;
}

// What tells that it was used: forms by submit, fields by change, all else by a click.
function useOf(node) {
  return node.tagName === 'FORM' ? 'submit'
    : /^(INPUT|SELECT|TEXTAREA)$/.test(node.tagName) && !/^(button|image|reset|submit)$/.test(node.type) ? 'change' : 'click';
}

function used(event) {
  if (event.button > 1) return;
  var type = event.type.slice(-5) === 'click' ? 'click' : event.type;
  event.composedPath().some((node) => {
    var named = tagOf(node), isIt = named.name && useOf(node) === type;
    if (isIt) send(named.name, named);
    return isIt;
  });
}

['click', 'auxclick', 'submit', 'change'].forEach((type) => { on(type, used); });
