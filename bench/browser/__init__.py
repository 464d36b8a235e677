"""The benchmark of azarr in the browser, against zarrita.js in the same page. Outside the package, as `bench` is."""
