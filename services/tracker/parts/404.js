// The page does not exist: its answer was 404, as browsers since 2023 tell.
guard(() => {
  if (performance.getEntriesByType('navigation')[0].responseStatus === 404)
    take(['404', { props: { path: page.pathname }, interactive: false }]);
})();
