// They have none any more (identity daily).
guard(function () { delete localStorage.footfall_visitor; })();
