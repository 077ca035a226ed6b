// Forms that are submitted. Where a form checks itself (novalidate) the browser has not.
on('submit', (event) => {
  var form = event.target;
  if (form.noValidate || form.matches(':valid')) send('Form: Submission', { props: { path: page.pathname } });
});
