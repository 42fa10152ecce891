DROP VIEW current_loads;
