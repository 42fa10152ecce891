DROP TABLE ven_loads;
DROP TABLE vens;
